"""Replies of the responses API as events (https://platform.openai.com/docs/api-reference/responses-streaming)."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.demo.face import Frame, event
from emulator.demo.limits import tokens
from emulator.demo.responses.reply import head, whole
from emulator.demo.talk import Json, Prompt, Reply


class ResponsesStream:
    """A reply as numbered events; the last one repeats everything."""

    def __init__(self, prompt: Prompt, reply: Reply) -> None:
        self._prompt, self._reply = prompt, reply
        self._number = 0

    def frames(self) -> Iterator[Frame]:
        final = whole(self._prompt, self._reply)
        yield self._event("response.created", response=head(self._prompt))
        yield self._event("response.in_progress", response=head(self._prompt))
        for index, item in enumerate(final["output"]):
            at = {"item_id": item["id"], "output_index": index}
            yield self._event("response.output_item.added", output_index=index, item=_begun(item))
            yield from self._inside(item, at)
            yield self._event("response.output_item.done", output_index=index, item=item)
        yield self._event(f"response.{final['status']}", response=final)

    def failure(self, message: str) -> bytes:
        failed = {**head(self._prompt), "status": "failed", "error": {"code": "server_error", "message": message}}
        return self._event("response.failed", response=failed).data

    def _event(self, name: str, *, piece: bool = False, **fields: object) -> Frame:
        data: Json = {"type": name, "sequence_number": self._number, **fields}
        self._number += 1
        return Frame(event(data, name), piece)

    def _inside(self, item: Json, at: Json) -> Iterator[Frame]:
        match item["type"]:
            case "message":
                for index, part in enumerate(item["content"]):
                    yield from self._part(part, {**at, "content_index": index})
            case "reasoning":
                for index, part in enumerate(item["summary"]):
                    yield from self._summary(part, {**at, "summary_index": index})
            case "function_call":
                yield from self._text("response.function_call_arguments", "arguments", item["arguments"], at)
            case "custom_tool_call":
                yield from self._text("response.custom_tool_call_input", "input", item["input"], at)
            case "web_search_call":
                for step in ("in_progress", "searching", "completed"):
                    yield self._event(f"response.web_search_call.{step}", **at)
            case _:
                pass

    def _text(self, name: str, field: str, text: str, at: Json) -> Iterator[Frame]:
        for token in tokens(text):
            yield self._event(f"{name}.delta", piece=True, **at, delta=token)
        done: Json = {**at, field: text}
        yield self._event(f"{name}.done", **done)

    def _part(self, part: Json, at: Json) -> Iterator[Frame]:
        refusal = part["type"] == "refusal"
        empty = {**part, "refusal": ""} if refusal else {**part, "text": "", "annotations": []}
        yield self._event("response.content_part.added", **at, part=empty)
        if refusal:
            yield from self._text("response.refusal", "refusal", part["refusal"], at)
        else:
            for token in tokens(part["text"]):
                yield self._event("response.output_text.delta", piece=True, **at, delta=token, logprobs=[])
            for index, note in enumerate(part["annotations"]):
                yield self._event(
                    "response.output_text.annotation.added", **at, annotation_index=index, annotation=note
                )
            yield self._event("response.output_text.done", **at, text=part["text"], logprobs=[])
        yield self._event("response.content_part.done", **at, part=part)

    def _summary(self, part: Json, at: Json) -> Iterator[Frame]:
        yield self._event("response.reasoning_summary_part.added", **at, part={**part, "text": ""})
        yield from self._text("response.reasoning_summary_text", "text", part["text"], at)
        yield self._event("response.reasoning_summary_part.done", **at, part=part)


def _begun(item: Json) -> Json:
    """The item before its content has come. Encrypted content is complete in the `done` event only."""
    empty: Json = {"content": [], "summary": [], "arguments": "", "input": ""}
    begun = {name: value for name, value in item.items() if name not in ("encrypted_content", "action")}
    if isinstance(item.get("arguments"), dict):
        empty = {**empty, "arguments": {}}
    begun = {name: empty.get(name, value) for name, value in begun.items()}
    return {**begun, "status": "in_progress"} if "status" in begun else begun
