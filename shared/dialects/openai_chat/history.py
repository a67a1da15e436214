"""A conversation as `messages` for a provider: who said what, with tool results right behind the calls they answer.

https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from shared.canonical import (
    Audio,
    Block,
    Document,
    HostedCall,
    Image,
    Json,
    Opaque,
    Request,
    Target,
    Text,
    Thinking,
    ToolCall,
    ToolReference,
    ToolResult,
    Turn,
)
from shared.dialects.openai_chat import reasoning
from shared.dialects.openai_chat.content import Part, write_cache, write_parts, write_result_text
from shared.dialects.toolnames import ToolNames, wrap

_MAX_ID = 40
_BILLING = "x-anthropic-billing-header"  # Claude Code's note to its own provider, not a word to the model


class HistoryWriter:
    """Writes the messages of one request. `dropped` collects names."""

    __slots__ = ("_details", "_dropped", "_messages", "_names", "_target")

    def __init__(self, names: ToolNames, target: Target, dropped: set[str]) -> None:
        self._names = names
        self._target = target
        self._dropped = dropped
        self._messages: list[Json] = []
        self._details: list[Json] = []  # `reasoning_details` of the message that is being written

    def write(self, request: Request) -> list[Json]:
        """All messages: the system's first, then runs of the assistant's turns and of the others'."""
        self._system(request.system)
        run: list[Turn] = []
        for turn in request.turns:
            if run and (run[-1].role == "assistant") != (turn.role == "assistant"):
                self._run(run)
                run = []
            run.append(turn)
        if run:
            self._run(run)
        return self._messages

    def _system(self, system: Iterable[Text]) -> None:
        blocks = [block for block in system if not block.text.startswith(_BILLING)]
        if not blocks:
            return
        if any(block.cache for block in blocks) and "keeps_cache_control" in self._target.quirks:
            content = write_parts(blocks, self._target, self._dropped)
        else:
            if any(block.cache for block in blocks):
                self._dropped.add("cache")
            content = "\n\n".join(block.text for block in blocks if block.text)
        if content:
            self._messages.append({"role": "system", "content": content})

    def _run(self, run: list[Turn]) -> None:
        if run[0].role == "assistant":
            self._assistant(run)
        else:
            self._others(run)

    # ── the user, the system and the tools ───────────────────────────────────────────────────────────────────────

    def _others(self, run: list[Turn]) -> None:
        """Results go first, since they must follow their calls; their pictures next, since they can't hold any."""
        media: list[Part] = []
        for turn in run:
            for block in turn.blocks:
                if isinstance(block, ToolResult):
                    media += self._result(block)
        if media:
            self._messages.append({"role": "user", "content": write_parts(media, self._target, self._dropped)})
        for turn in run:
            parts = [block for block in turn.blocks if isinstance(block, Text | Image | Document | Audio)]
            if not parts and turn.blocks:
                continue
            role = "system" if turn.role == "developer" and "no_developer_role" in self._target.quirks else turn.role
            message: Json = {"role": role, "content": write_parts(parts, self._target, self._dropped)}
            self._name(turn, message)
            self._messages.append(message)

    def _result(self, result: ToolResult) -> list[Part]:
        text, media = write_result_text(result.content, result.call_id)
        if result.tools:
            found = ", ".join(self._names.wire(tool.name, getattr(tool, "namespace", "")) for tool in result.tools)
            text = f"{text}\nTools that are now available: {found}".lstrip()
        if result.is_error:
            text = text or "error"
            self._dropped.add("tool_result.is_error")
        message: Json = {"role": "tool", "tool_call_id": _short(result.call_id), "content": text}
        inside = (part.cache for part in result.content if not isinstance(part, ToolReference) and part.cache)
        cache = result.cache or next(inside, None)
        if cache and (mark := write_cache(cache, self._target, self._dropped)):
            message["content"] = [{"type": "text", "text": text, **mark}]
        self._messages.append(message)
        return media

    def _name(self, turn: Turn, message: Json) -> None:
        if turn.name:
            if "no_message_name" in self._target.quirks:
                self._dropped.add("name")
            else:
                message["name"] = turn.name
        if turn.phase:
            self._dropped.add("phase")

    # ── the assistant ────────────────────────────────────────────────────────────────────────────────────────────

    def _assistant(self, run: list[Turn]) -> None:
        """Neighbouring turns make one message, so that all calls of a step stand together before their results."""
        message: Json = {"role": "assistant", "content": None}
        calls: list[Json] = []
        self._details = []
        for turn in run:
            words = "".join(self._word(block, message) for block in turn.blocks)
            if words:
                message["content"] = f"{message['content']}\n\n{words}" if message["content"] else words
            for block in turn.blocks:
                if isinstance(block, ToolCall):
                    calls.append(self._call(block, first=not calls))
            self._name(turn, message)
        if calls:
            message["tool_calls"] = calls
        self._thoughts([block for turn in run for block in turn.blocks if isinstance(block, Thinking)], message)
        self._finish(message)

    def _word(self, block: Block, message: Json) -> str:
        """What a block adds to the message's text."""
        match block:
            case Text(refusal=True) if "no_null_fields" not in self._target.quirks:
                message["refusal"] = message.get("refusal", "") + block.text
            case Text():
                self._state(block.opaque, message)
                return self._text(block)
            case Audio():
                return self._audio(block, message)
            case HostedCall(name=name):
                self._dropped.add(name)
            case Image():
                self._dropped.add("assistant.image")
            case Document() | ToolResult():
                self._dropped.add("assistant.document")
        return ""

    def _text(self, block: Text) -> str:
        if block.citations:
            self._dropped.add("citations")
        if block.cache:
            self._dropped.add("cache")
        return block.text

    def _state(self, opaque: Opaque | None, holder: Json) -> bool:
        """Puts state back where its maker had it: on the message, or on the call. False if it goes nowhere."""
        if opaque is None:
            return False
        match opaque:
            case Opaque(maker=self._target.provider, kind=reasoning.SIGNATURE):
                holder["extra_content"] = {"google": {"thought_signature": opaque.data}}
            case Opaque(maker=self._target.provider, kind=reasoning.DETAILS):
                self._details += reasoning.restore_details(opaque)
            case _:
                self._dropped.add("reasoning")
                return False
        return True

    def _audio(self, block: Audio, message: Json) -> str:
        if block.id and "audio" in self._target.output:
            message["audio"] = {"id": block.id}
            return ""
        self._dropped.add("audio")
        return block.transcript

    def _call(self, call: ToolCall, *, first: bool) -> Json:
        name = self._names.wire(call.name, call.namespace)
        written: Json = {"id": _short(call.id), "type": "function"}
        if call.kind != "custom":
            written["function"] = {"name": name, "arguments": call.arguments or "{}"}
        elif "custom_tools" in self._target.quirks:
            written |= {"type": "custom", "custom": {"name": name, "input": call.arguments}}
        else:
            written["function"] = {"name": name, "arguments": wrap(call.arguments)}
        if call.cache:
            self._dropped.add("cache")
        self._state(call.opaque, written)
        if first and "extra_content" not in written and "thought_signature_extra_content" in self._target.quirks:
            written["extra_content"] = {"google": {"thought_signature": reasoning.PLACEHOLDER}}
        return written

    def _thoughts(self, thoughts: list[Thinking], message: Json) -> None:
        """State goes back to its maker only; words to those who want them back, unless another maker signed them."""
        quirks = self._target.quirks
        words = [b.text for b in thoughts if (self._state(b.opaque, message) or b.opaque is None) and b.text]
        text = "\n\n".join(words)
        if "reasoning_content_required" in quirks:
            if text or message.get("tool_calls"):
                message["reasoning_content"] = text
        elif text and "reasoning_field" in quirks:
            message["reasoning"] = text
        elif text:
            self._dropped.add("reasoning")
        if self._details:
            message["reasoning_details"] = self._details

    def _finish(self, message: Json) -> None:
        if message["content"] is None and not message.get("tool_calls") and "refusal" not in message:
            message["content"] = ""
        if message["content"] is None and "no_null_fields" in self._target.quirks:
            del message["content"]
        self._messages.append(message)


def _short(id_: str) -> str:
    """A call's id that OpenAI takes: at most 40 characters (https://github.com/BerriAI/litellm/issues/17343)."""
    return id_ if len(id_) <= _MAX_ID else f"call_{sha256(id_.encode()).hexdigest()[:32]}"
