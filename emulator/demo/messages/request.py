"""Requests of the messages API, read as strictly as Anthropic does (https://docs.anthropic.com/en/api/messages)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

from emulator.demo.face import Asked
from emulator.demo.messages.conversation import read_conversation
from emulator.demo.messages.words import UNTHREADED, WORDING, read_cache
from emulator.demo.reading import Node, RefusedError, names, seed_of
from emulator.demo.talk import Choice, Json, Prompt, Said, Tool, Turn

_FIELDS = names(
    """
    billing_policy cache_control compaction container context_management diagnostics fallback_credit_token
    fallbacks inference_geo max_tokens mcp_servers messages metadata model output_config output_format
    safeguards service_tier speed stop_sequences stream system temperature thinking thread tool_choice tools
    top_k top_p user_profile_id workspace_id
    """
)
_VENDORS = ("provider", "models", "session_id")  # OpenRouter's
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_TOOL = names(
    """
    type name description input_schema cache_control defer_loading strict eager_input_streaming
    allowed_callers input_examples
    """
)
_SERVER_TOOL = re.compile(
    r"(web_search|web_fetch|code_execution|bash|text_editor|memory|computer|tool_search_tool\w*|mcp_toolset|advisor)(_\d{8})?"
)
_MARKS = 4


def read(body: Json, asked: Asked) -> Prompt:
    """The prompt in a body. Raises `RefusedError`."""
    if "anthropic-version" not in asked.headers:
        raise RefusedError("anthropic-version: header is required")
    root = Node(body, WORDING).obj(*_FIELDS, *_VENDORS)
    model = root.need("model").text()
    if (thread := root.get("thread")) is not None:
        raise thread.refused("thread: this model keeps no threads", code=UNTHREADED)
    limit = None if asked.counting else root.need("max_tokens").whole(0)
    marks: list[str] = []
    loaded: set[str] = set()
    if top := read_cache(root.get("cache_control")):
        marks.append(top)
    tools = _tools(root.get("tools"), marks)
    system = _system(root.get("system"), marks)
    turns = read_conversation(root.need("messages"), marks, loaded)
    if len(marks) > _MARKS:
        raise root.refused(f"A maximum of {_MARKS} blocks with cache_control may be provided. Found {len(marks)}.")
    choice, parallel = _choice(root.get("tool_choice"), tools)
    thinks = _thinks(root, limit, choice, turns)
    _sampling(root, thinks)
    return Prompt(
        seed=seed_of(body),
        model=model,
        turns=(*system, *turns),
        body=body,
        tools=tuple(replace(tool, loaded=tool.name in loaded) for tool in tools),
        choice=choice,
        parallel=parallel,
        max_tokens=limit,
        stop=_stop(root.get("stop_sequences")),
        thinks=thinks,
        shows_thoughts=not thinks or root.value["thinking"].get("display") not in ("omitted", "updates"),
        **_format(root),
        stream=root.flag("stream"),
        cache=_kept(marks),
    )


def _kept(marks: list[str]) -> Literal["", "5m", "1h"]:
    if not marks:
        return ""
    return "1h" if "1h" in marks else "5m"


def _system(node: Node | None, marks: list[str]) -> tuple[Turn, ...]:
    if node is None:
        return ()
    if isinstance(node.value, str):
        return (Turn("system", (Said(node.value),)),)
    texts: list[Said] = []
    for block in node.items():
        fields = block.obj("type", "text", "cache_control", "citations")
        fields.need("type").among("text")
        if not fields.need("text").text().strip():
            raise block.refused("system: text content blocks must be non-empty")
        if mark := read_cache(fields.get("cache_control")):
            marks.append(mark)
        texts.append(Said(fields.need("text").text()))
    return (Turn("system", tuple(texts)),)


def _stop(node: Node | None) -> tuple[str, ...]:
    words = tuple(word.text() for word in node.items()) if node is not None else ()
    if node is not None and not all(word.strip() for word in words):
        raise node.refused("stop_sequences: each stop sequence must contain non-whitespace")
    return words


def _sampling(root: Node, thinks: bool) -> None:
    for name in ("temperature", "top_p"):
        node = root.get(name)
        if node is not None and node.number(0, 1) != 1 and thinks and name == "temperature":
            raise node.refused("`temperature` may only be set to 1 when thinking is enabled.")
    if (top := root.get("top_k")) is not None:
        top.whole(0)
        if thinks:
            raise top.refused("`top_k` must be unset when thinking is enabled.")
    if (metadata := root.get("metadata")) is not None:
        user = metadata.obj("user_id").get("user_id")
        if user is not None and "@" in user.text():
            raise user.refused("metadata.user_id: user_id appears to contain an email address")
    if (tier := root.get("service_tier")) is not None:
        tier.among("auto", "standard_only")


def _thinks(root: Node, limit: int | None, choice: Choice, turns: tuple[Turn, ...]) -> bool:
    """https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking"""
    node = root.get("thinking")
    if node is None:
        return False
    match node.raw().get("type"):
        case "disabled" | "between_tools":
            node.obj("type")
            return False
        case "adaptive":
            fields = node.obj("type", "display")
        case "enabled":
            fields = node.obj("type", "budget_tokens", "display")
            budget = fields.need("budget_tokens")
            if budget.whole(0) < 1024:
                raise budget.refused("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
            if limit is not None and budget.whole(0) >= limit:
                raise node.refused("`max_tokens` must be greater than `thinking.budget_tokens`.")
            if choice.mode in ("required", "tool"):
                raise node.refused("Thinking may not be enabled when tool_choice forces tool use.")
        case kind:
            raise node.refused(
                f"thinking: Input tag '{kind}' found using 'type' does not match any of the expected tags"
            )
    if (display := fields.get("display")) is not None:
        display.among("summarized", "omitted", "updates")
    return True


def _format(root: Node) -> Json:
    """https://docs.anthropic.com/en/docs/build-with-claude/structured-outputs"""
    form = root.get("output_format")
    if (config := root.get("output_config")) is not None:
        fields = config.obj("effort", "format", "task_budget")
        if (effort := fields.get("effort")) is not None:
            effort.among("low", "medium", "high", "xhigh", "max")
        form = fields.get("format") or form
    if form is None:
        return {}
    fields = form.obj("type", "schema")
    fields.need("type").among("json_schema")
    schema = fields.need("schema")
    _closed(schema, schema.raw())
    return {"wants_json": True, "schema": schema.raw()}


def _closed(node: Node, schema: object) -> None:
    if isinstance(schema, list):
        for item in schema:
            _closed(node, item)
    if isinstance(schema, dict):
        if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
            raise node.refused(
                f"{node.path}: For 'object' type, 'additionalProperties' must be explicitly set to false"
            )
        for below in schema.values():
            _closed(node, below)


# ── tools ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _tools(listed: Node | None, marks: list[str]) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for node in listed.items() if listed is not None else ():
        if mark := read_cache(Node(node.raw(), WORDING, node.path).get("cache_control")):
            marks.append(mark)
        kind = node.value.get("type") or "custom"
        if kind != "custom":
            tools.append(_server_tool(node, str(kind)))
            continue
        fields = node.obj(*_TOOL)
        name = fields.need("name")
        if not _NAME.fullmatch(name.text()):
            raise name.refused(f"{name.path}: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        schema = fields.need("input_schema")
        if schema.raw().get("type") != "object":
            raise schema.refused(f"{schema.path}.type: Input should be 'object'")
        tools.append(Tool(name.text(), schema.raw(), deferred=fields.flag("defer_loading")))
    names = [tool.name for tool in tools]
    if listed is not None and len(set(names)) != len(names):
        raise listed.refused("tools: Tool names must be unique.")
    if listed is not None and tools and all(tool.deferred for tool in tools):
        raise listed.refused("At least one tool must have defer_loading=false.")
    return tuple(tools)


def _server_tool(node: Node, kind: str) -> Tool:
    known = _SERVER_TOOL.fullmatch(kind)
    if not known:
        raise node.refused(
            f"{node.path}: Input tag '{kind}' found using 'type' does not match any of the expected tags"
        )
    return Tool(str(node.value.get("name", known[1])), kind="hosted")


def _choice(node: Node | None, tools: tuple[Tool, ...]) -> tuple[Choice, bool]:
    if node is None:
        return Choice(), True
    kind = node.raw().get("type")
    if kind not in ("auto", "any", "tool", "none"):
        raise node.refused(
            f"tool_choice: Input tag '{kind}' found using 'type' does not match any of the expected tags: "
            "'auto', 'any', 'tool', 'none'"
        )
    if not tools and kind != "none":
        raise node.refused("tool_choice: tool_choice may only be specified while providing tools.")
    match kind:
        case "none":
            node.obj("type")
            return Choice("none"), True
        case "tool":
            fields = node.obj("type", "name", "disable_parallel_tool_use")
            name = fields.need("name").text()
            if all(tool.name != name for tool in tools):
                raise node.refused(f"tool_choice.tool.name: Tool '{name}' not found in provided tools")
            return Choice("tool", (name,)), False
        case _:
            fields = node.obj("type", "disable_parallel_tool_use")
            mode: Literal["required", "auto"] = "required" if kind == "any" else "auto"
            return Choice(mode), not fields.flag("disable_parallel_tool_use")
