"""A client's `messages` as turns (https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages)."""

from __future__ import annotations

from dataclasses import replace

from shared.canonical import Audio, Block, Json, Text, Thinking, ToolCall, ToolKind, ToolResult, Turn
from shared.dialects.openai_chat import checks
from shared.dialects.openai_chat.content import read_cache, read_content, read_text
from shared.dialects.openai_chat.media import images_of
from shared.dialects.openai_chat.reasoning import read_signature, read_thoughts
from shared.errors import invalid


def _placed(thoughts: list[tuple[Thinking, int]], said: list[Block]) -> list[Block]:
    """Thoughts among the words where they came; all of them first where that isn't known, or the words were changed."""
    places = [after for _, after in thoughts]
    match said:
        case [Text(text=text) as whole] if any(places) and places == sorted(places) and places[-1] <= len(text):
            blocks: list[Block] = []
            at = 0
            for thought, after in thoughts:
                if after > at:
                    last = after == len(text)  # the text's own state and mark stand at its end
                    blocks.append(replace(whole, text=text[at:]) if last else Text(text[at:after]))
                    at = after
                blocks.append(thought)
            return [*blocks, replace(whole, text=text[at:])] if at < len(text) else blocks
    return [*(thought for thought, _ in thoughts), *said]


class MessageReader:
    """Reads messages in their order; knows the calls so far, to which results refer.

    `dropped` collects names of what has no place in the canonical form.
    """

    __slots__ = ("_kinds", "_legacy", "dropped", "system", "turns")

    def __init__(self) -> None:
        self.system: list[Text] = []
        self.turns: list[Turn] = []
        self.dropped: dict[str, None] = {}
        self._kinds: dict[str, ToolKind] = {}
        self._legacy: dict[str, str] = {}  # of the old `function_call`: function's name to the id that we made up

    def read(self, message: object, index: int) -> None:
        """One message."""
        message = checks.obj(message, "messages", index)
        role = message.get("role")
        match role:
            case "system" | "developer":
                parts = read_text(message.get("content"), ("messages", index, "content"))
                if self.turns:
                    self.turns.append(Turn(role, parts, self._name(message, index)))
                else:
                    self.system += parts
            case "user":
                parts_ = self._marked(
                    message, read_content(message.get("content"), ("messages", index, "content")), index
                )
                self.turns.append(Turn("user", parts_, self._name(message, index)))
            case "assistant":
                self.turns.append(Turn("assistant", self._assistant(message, index), self._name(message, index)))
            case "tool" | "function":
                self.turns.append(Turn("user", (self._result(message, index),)))
            case other:
                raise checks.wrong(
                    "one of system, developer, user, assistant and tool", other, "messages", index, "role"
                )

    def _name(self, message: Json, index: int) -> str:
        return checks.maybe_text(message.get("name"), "messages", index, "name")

    def _marked(self, message: Json, parts: tuple[Block, ...], index: int) -> tuple[Block, ...]:
        """`cache_control` on the message itself counts for its only text (the form that LiteLLM's clients use)."""
        if "cache_control" not in message:
            return parts
        match parts:
            case [Text(text=text, cache=None)]:
                return (Text(text, cache=read_cache(message, ("messages", index))),)
        self.dropped["cache_control"] = None
        return parts

    def _assistant(self, message: Json, index: int) -> tuple[Block, ...]:
        place = ("messages", index, "content")
        thoughts, whole = read_thoughts(message)
        if not whole:
            self.dropped["reasoning_details"] = None
        content = message.get("content")
        said: list[Block] = [] if content is None else [*read_content(content, place)]
        if refusal := checks.maybe_text(message.get("refusal"), "messages", index, "refusal"):
            said.append(Text(refusal, refusal=True))
        self._sign(message, said)
        blocks = [*_placed(thoughts, said), *images_of(message)]
        if audio := checks.maybe_obj(message.get("audio"), "messages", index, "audio"):
            blocks.append(Audio(id=checks.name(audio.get("id"), "messages", index, "audio", "id")))
        for at, call in enumerate(checks.array(message.get("tool_calls") or [], "messages", index, "tool_calls")):
            blocks.append(self._call(call, index, at))
        if function := checks.maybe_obj(message.get("function_call"), "messages", index, "function_call"):
            blocks.append(self._old_call(function, index))
        return tuple(blocks)

    def _sign(self, message: Json, blocks: list[Block]) -> None:
        opaque, whole = read_signature(message)
        if opaque and blocks and isinstance(last := blocks[-1], Text):
            blocks[-1] = Text(last.text, last.refusal, cache=last.cache, opaque=opaque)
        elif opaque or not whole:
            self.dropped["extra_content"] = None

    def _call(self, call: object, index: int, at: int) -> ToolCall:
        place = ("messages", index, "tool_calls", at)
        call = checks.obj(call, *place)
        kind: ToolKind = "custom" if call.get("type") == "custom" else "function"
        called = checks.obj(call.get(kind), *place, kind)
        id_ = checks.name(call.get("id"), *place, "id")
        name = checks.name(called.get("name"), *place, kind, "name")
        field = "input" if kind == "custom" else "arguments"
        arguments = checks.maybe_text(called.get(field), *place, kind, field)
        opaque, whole = read_signature(call)
        if not whole:
            self.dropped["extra_content"] = None
        self._kinds[id_] = kind
        return ToolCall(id_, name, arguments, kind, opaque=opaque, cache=read_cache(call, place))

    def _old_call(self, function: Json, index: int) -> ToolCall:
        place = ("messages", index, "function_call")
        name = checks.name(function.get("name"), *place, "name")
        self._legacy[name] = id_ = f"call_{index}"
        return ToolCall(id_, name, checks.maybe_text(function.get("arguments"), *place, "arguments"))

    def _result(self, message: Json, index: int) -> ToolResult:
        if message["role"] == "function":
            name = checks.name(message.get("name"), "messages", index, "name")
            if not (id_ := self._legacy.get(name, "")):
                raise invalid(
                    f"messages.{index}.name: no call to the function {name!r} goes before.", f"messages.{index}"
                )
        else:
            id_ = checks.name(message.get("tool_call_id"), "messages", index, "tool_call_id")
        place = ("messages", index, "content")
        content = message.get("content")
        parts = () if content is None else read_content(content, place)
        if any(isinstance(part, Audio) for part in parts):
            raise invalid(
                f"messages.{index}.content: audio is not allowed in a tool's answer.", f"messages.{index}.content"
            )
        kept = tuple(part for part in parts if not isinstance(part, Audio))
        cache = read_cache(message, ("messages", index))
        return ToolResult(id_, kept, kind=self._kinds.get(id_, "function"), cache=cache)
