"""Pictures, documents, state and sources, written for providers of the Messages API."""

from __future__ import annotations

import pytest
from anthropic_wire import HELLO, MARK, NEW, PLAIN, assistant, messages, refused, result, t, use, user, write

from shared.canonical import (
    Audio,
    Block,
    CacheMark,
    Citation,
    Document,
    HostedCall,
    Image,
    Opaque,
    Target,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)


def test_pictures_and_documents() -> None:
    (message,) = messages(
        user(
            Image("image/webp", "aGk=", cache=CacheMark("30m")),
            Image(url="https://a.example/b.png", detail="high"),
            Document(data="JVBERg==", filename="a.pdf", citations=True, context="c"),
            Document(url="https://a.example/b.pdf"),
            Document("text/plain", text="words", title="T"),
            Document("text/markdown", data="IyBoaQ==", filename="a.md"),
        )
    )
    mark = {"type": "ephemeral", "ttl": "1h"}
    assert message["content"] == [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/webp", "data": "aGk="},
            "cache_control": mark,
        },
        {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
            "title": "a.pdf",
            "context": "c",
            "citations": {"enabled": True},
        },
        {"type": "document", "source": {"type": "url", "url": "https://a.example/b.pdf"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}, "title": "T"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "# hi"}, "title": "a.md"},
    ]
    (plain,) = messages(user(Document("text/plain", text="words", title="T")), target=PLAIN)
    assert plain["content"] == [t("T\n\nwords")]


@pytest.mark.parametrize(
    ("target", "block", "word"),
    [
        (PLAIN, Image("image/png", "aGk="), "images"),
        (PLAIN, ToolResult("a", (Image("image/png", "aGk="),)), "images"),
        (PLAIN, Document(data="JVBERg=="), "documents"),
        (NEW, Image("image/tiff", "aGk="), "image/tiff"),
        (NEW, Image(file_id="file-1"), "file-1"),
        (NEW, Document(file_id="file-2"), "file-2"),
        (NEW, Document("application/zip", "aGk="), "application/zip"),
        (NEW, Document("text/plain", "/w=="), "UTF-8"),
        (NEW, Audio("aGk=", "wav"), "audio"),
    ],
)
def test_what_the_model_does_not_take_is_refused(target: Target, block: Block, word: str) -> None:
    turns = (assistant(ToolCall("a", "f")), user(block)) if isinstance(block, ToolResult) else (user(block),)
    assert word in refused(target, turns)


def test_what_cannot_come_along_is_named() -> None:
    foreign = Opaque("openai", "encrypted_content", "x")
    written = write(
        turns=(
            *HELLO,
            assistant(
                Thinking("t", foreign),
                Text("a", citations=(Citation(url="https://a.example"),), opaque=foreign),
                HostedCall("w", "web_search", dialect="responses", raw=({"type": "web_search_call"},)),
                Image(url="https://a.example/i.png"),
                Audio(transcript="spoken"),
            ),
            user(Image(url="https://a.example/i.png", detail="low")),
        ),
    )
    assert written.body["messages"][1] == {"role": "assistant", "content": [t("a"), t("spoken")]}
    assert set(written.dropped) == {"reasoning", "citations", "hosted_call", "image", "audio", "image.detail"}


def test_own_sources_go_back_as_they_were() -> None:
    cited = {
        "type": "page_location",
        "cited_text": "x",
        "document_index": 0,
        "start_page_number": 1,
        "end_page_number": 2,
    }
    use = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    call = HostedCall("srvtoolu_1", "web_search", dialect="messages", raw=(use, found))
    written = write(turns=(*HELLO, assistant(call, Text("a", citations=(Citation(raw=cited),))), *HELLO))
    assert written.body["messages"][1]["content"] == [use, found, {**t("a"), "citations": [cited]}]
    assert written.dropped == ()


def test_state_and_marks_of_calls() -> None:
    call = ToolCall("a", "f", opaque=Opaque("google", "thought_signature", "x"), cache=MARK)
    written = write(turns=(*HELLO, assistant(call), user(result("a"))))
    assert written.body["messages"][1]["content"] == [{**use("a"), "cache_control": {"type": "ephemeral"}}]
    assert written.dropped == ("reasoning",)


def test_only_its_makers_state_comes_back_byte_for_byte() -> None:
    mine = [Opaque("anthropic", "signature", "c2ln/+="), Opaque("anthropic", "redacted_thinking", "cmVk")]
    others = [
        Opaque("", "signature", "x"),
        Opaque("zai", "signature", "x"),
        Opaque("anthropic", "reasoning_details", "[]"),
    ]
    blocks = [
        Thinking("t", mine[0]),
        Thinking(opaque=mine[1], redacted=True),
        *(Thinking("u", other) for other in others),
    ]
    written = write(turns=(*HELLO, assistant(*blocks, Text("a")), *HELLO))
    assert written.body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "t", "signature": "c2ln/+="},
        {"type": "redacted_thinking", "data": "cmVk"},
        t("a"),
    ]
    assert written.dropped == ("reasoning",)
