"""Requests that hypothesis makes up from the canonical form: every word in them is one of its kind, so that it can be looked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
from hypothesis import strategies as st

from emulator.demo.opaque import mint
from shared.canonical import (
    EFFORTS,
    Block,
    CacheMark,
    CustomTool,
    Document,
    FunctionTool,
    Image,
    Json,
    Opaque,
    OutputFormat,
    Reasoning,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolReference,
    ToolResult,
    Turn,
)
from shared.dialects import Api
from tests.judges.material import BLANK_PDF, PIXEL

DRAW = Callable[[st.SearchStrategy[Any]], Any]
_ODD = st.sampled_from(["", ' "quoted" \\ and\nlines', " ünï𝒸ödé 🎉", " <b>&amp;</b>", ' {"a": [1]}', "\u2028\x07"])


class Author:
    """Makes up the parts of one request."""

    def __init__(self, draw: DRAW, api: Api) -> None:
        self.draw = draw
        self.api = api
        self.count = 0
        self.calls = 0

    def word(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def text(self, kind: str = "word") -> str:
        return self.word(kind) + self.draw(_ODD)

    def cache(self) -> CacheMark | None:
        return self.draw(st.sampled_from([None, None, None, CacheMark(), CacheMark("1h")]))

    # ── tools ────────────────────────────────────────────────────────────────────────────────────────────────────

    def schema(self, depth: int = 2) -> Json:
        kind = self.draw(st.sampled_from(["string", "integer", "enum", "array", "union", "object", "format"]))
        described = {"description": self.text("about")} if self.draw(st.booleans()) else {}
        match kind:
            case "enum":
                return {"type": "string", "enum": ["a", "b"], **described}
            case "array" if depth:
                return {"type": "array", "items": self.schema(depth - 1), **described}
            case "union" if depth:
                return {"anyOf": [self.schema(depth - 1), {"type": "null"}], **described}
            case "object" if depth:
                return {**self.object(depth - 1), **described}
            case "format":
                return {"type": "string", "format": "uri", "minLength": 1, "pattern": "^h", **described}
            case _:
                return {"type": "integer", "minimum": 0, "exclusiveMaximum": 9, **described}

    def object(self, depth: int = 2) -> Json:
        names = [self.word("field") for _ in range(self.draw(st.integers(0, 3)))]
        schema: Json = {"type": "object", "properties": {name: self.schema(depth) for name in names}}
        if self.draw(st.booleans()):
            schema |= {"required": names, "additionalProperties": False}
        if self.draw(st.booleans()):
            schema["$schema"] = "http://json-schema.org/draft-07/schema#"
        return schema

    def tool(self) -> Tool:
        space = self.draw(st.sampled_from(["", "", "space", "another_space"]))
        name = self.word(self.draw(st.sampled_from(["tool", "Tool-", "a tool.with odd/", "t" * 70])))
        if self.draw(st.integers(0, 3)) == 0:
            grammar = {"type": "grammar", "syntax": "lark", "definition": self.text("rule")}
            form = self.draw(st.sampled_from([None, {"type": "text"}, grammar]))
            return CustomTool(name, self.text("does"), form, space)
        schema = self.draw(st.sampled_from([None, True])) and self.object()
        deferred = self.draw(st.integers(0, 4)) == 0
        return FunctionTool(name, self.text("does"), schema, None, space, deferred=deferred, cache=self.cache())

    def tools(self) -> tuple[Tool, ...]:
        tools = [self.tool() for _ in range(self.draw(st.integers(0, 4)))]
        if tools and all(getattr(tool, "deferred", False) for tool in tools):
            tools.append(FunctionTool("search_tools", "finds them"))
        return tuple(tools)

    # ── turns ────────────────────────────────────────────────────────────────────────────────────────────────────

    def media(self) -> Image | Document:
        return self.draw(
            st.sampled_from(
                [
                    Image("image/png", PIXEL),
                    Document("application/pdf", BLANK_PDF, filename="a.pdf"),
                    Document("text/plain", text=self.text("document"), title=self.text("title")),
                ]
            )
        )

    def asked(self) -> list[Block]:
        blocks: list[Block] = [Text(self.text(), cache=self.cache())]
        more = self.draw(st.integers(0, 2))
        return blocks + [self.media() if self.draw(st.booleans()) else Text(self.text()) for _ in range(more)]

    def state(self, text: str) -> Opaque | None:
        """The target's own state, genuine; a stranger's; one that nobody sealed; none."""
        own: dict[Api, Opaque] = {
            "messages": Opaque("demo", "signature", mint("messages", self.word("seed"), text)),
            "responses": Opaque("demo", "responses.reasoning", orjson.dumps(
                {"id": "rs_1", "encrypted_content": mint("responses", self.word("seed")), "summary": [len(text)] if text else [], "content": []}
            ).decode()),
            "gemini": Opaque("demo", "thought_signature", mint("gemini", self.word("seed"))),
            "chat_completions": Opaque("demo", "reasoning_details", '[{"type":"reasoning.text","text":"a long enough text","index":0}]'),
        }  # fmt: skip
        strange = Opaque("stranger", "signature", "c3RyYW5nZSBzdGF0ZSBvZiBzb21lYm9keQ==")
        return self.draw(st.sampled_from([own[self.api], strange, replace(strange, maker=""), None]))

    def thought(self) -> Thinking:
        text = self.text("thought")
        return Thinking(text, self.state(text))

    def call(self, tools: tuple[Tool, ...]) -> ToolCall:
        self.calls += 1
        id_ = self.draw(st.sampled_from(["call_{}", "toolu_{}", "call {} with.odd/characters", "long" * 20 + "{}"]))
        tool = (
            self.draw(st.sampled_from(tools)) if tools and self.draw(st.booleans()) else FunctionTool(self.word("old"))
        )
        if isinstance(tool, CustomTool):
            return ToolCall(id_.format(self.calls), tool.name, self.text("input"), "custom", tool.namespace)
        arguments = self.draw(st.sampled_from([{}, {self.word("key"): self.text("value"), "n": [1, None, True, 2.5]}]))
        text = orjson.dumps(arguments).decode()
        return ToolCall(id_.format(self.calls), tool.name, text, "function", getattr(tool, "namespace", ""))

    def result(self, call: ToolCall, tools: tuple[Tool, ...]) -> ToolResult:
        content: list[Any] = [Text(self.text("answer")) for _ in range(self.draw(st.integers(0, 2)))]
        if self.draw(st.integers(0, 2)) == 0:
            content.append(self.media())
        deferred = [tool for tool in tools if isinstance(tool, FunctionTool) and tool.deferred and not tool.namespace]
        if deferred and call.kind == "function" and self.draw(st.booleans()):
            content.append(ToolReference(deferred[0].name))
        return ToolResult(call.id, tuple(content), self.draw(st.booleans()), call.kind)

    def step(self, tools: tuple[Tool, ...]) -> list[Turn]:
        """The assistant's turn, and the results if it called tools."""
        blocks: list[Block] = [self.thought() for _ in range(self.draw(st.integers(0, 2)))]
        calls = [self.call(tools) for _ in range(self.draw(st.integers(0, 3)))]
        if not calls or self.draw(st.booleans()):
            blocks.append(Text(self.text("said")))
        turns = [Turn("assistant", (*blocks, *calls))]
        if calls:
            results: list[Block] = [self.result(call, tools) for call in calls]
            results = self.draw(st.permutations(results))
            more: list[Block] = self.asked() if self.draw(st.booleans()) else []
            apart = self.draw(st.booleans())
            turns += [Turn("user", (one,)) for one in results] if apart else [Turn("user", (*results, *more))]
            return turns if not apart else [*turns, *([Turn("user", tuple(more))] if more else [])]
        return [*turns, Turn("user", tuple(self.asked()))]

    def request(self) -> Request:
        tools = self.tools()
        turns = [Turn("user", tuple(self.asked()))]
        for _ in range(self.draw(st.integers(0, 3))):
            turns += self.step(tools)
            if self.draw(st.integers(0, 5)) == 0:
                turns.append(Turn(self.draw(st.sampled_from(["system", "developer"])), (Text(self.text("rule")),)))
        flip = st.booleans()
        named = [
            tool
            for tool in tools
            if isinstance(tool, FunctionTool | CustomTool) and not getattr(tool, "deferred", False)
        ]
        choice = self.draw(st.sampled_from([None, "auto", "none", "required", "tool"])) if named else None
        return Request(
            "shown",
            tuple(turns),
            tuple(Text(self.text("system"), cache=self.cache()) for _ in range(self.draw(st.integers(0, 2)))),
            tools,
            tool_choice=choice and ToolChoice(choice, (_full(named[0]),) if choice == "tool" else ()),
            parallel_tools=self.draw(st.sampled_from([None, True, False])) if tools else None,
            max_tokens=self.draw(st.sampled_from([None, 16, 5000, 10**6])),
            temperature=self.draw(st.sampled_from([None, 0.25, 1.75])),
            top_p=self.draw(st.sampled_from([None, 0.5])),
            top_k=self.draw(st.sampled_from([None, 40])),
            stop=(self.word("stop"),) if self.draw(flip) else (),
            frequency_penalty=self.draw(st.sampled_from([None, 0.125])),
            presence_penalty=self.draw(st.sampled_from([None, -0.125])),
            seed=self.draw(st.sampled_from([None, 77])),
            logprobs=self.draw(st.sampled_from([None, None, 3])),
            reasoning=self.reasoning(),
            format=self.format() if not tools and self.draw(flip) else None,
            verbosity=self.draw(st.sampled_from(["", "", "low"])),
            stream=self.draw(flip),
            user=self.word("user") if self.draw(flip) else "",
            metadata={self.word("meta"): self.word("data")} if self.draw(flip) else None,
            service_tier=self.draw(st.sampled_from(["", "auto", "flex"])),
            cache_key=self.word("cache") if self.draw(flip) else "",
        )  # fmt: skip

    def reasoning(self) -> Reasoning:
        mode = self.draw(st.sampled_from([None, None, "enabled", "adaptive", "disabled"]))
        budget = 2048 if mode == "enabled" else None
        return Reasoning(
            self.draw(st.sampled_from([None, *EFFORTS])), mode, budget, self.draw(st.sampled_from([None, True]))
        )

    def format(self) -> OutputFormat:
        schema: Json = {**self.object(), "additionalProperties": False}
        return OutputFormat("json_schema", schema, "shape", self.draw(st.sampled_from(["", self.text("about")])))


def _full(tool: FunctionTool | CustomTool) -> str:
    return f"{tool.namespace}.{tool.name}" if tool.namespace else tool.name


@st.composite
def requests(draw: DRAW, api: Api) -> Request:
    """A request that `api` should be able to serve."""
    return Author(draw, api).request()
