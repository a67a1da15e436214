"""Tools of Gemini (https://ai.google.dev/api/caching#Tool)."""

from __future__ import annotations

import re

from emulator.demo.reading import Node, names
from emulator.demo.talk import Choice, Tool

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")
_DECLARATION = (
    *("name", "description", "behavior", "parameters", "parametersJsonSchema"),
    *("response", "responseJsonSchema"),
)
_HOSTED = (
    "googleSearch",
    "googleSearchRetrieval",
    "codeExecution",
    "urlContext",
    "googleMaps",
    "fileSearch",
    "computerUse",
)
# The older `parameters` takes a part of OpenAPI 3.0 only: https://ai.google.dev/api/caching#Schema
_SCHEMA = names(
    """
    type format title description nullable enum maxItems minItems properties required minProperties
    maxProperties minLength maxLength pattern example anyOf propertyOrdering default items minimum maximum
    """
)


def read_tools(listed: Node | None) -> tuple[Tool, ...]:
    """The tools of a request. Raises `RefusedError`."""
    tools: list[Tool] = []
    for node in listed.items() if listed is not None else ():
        fields = node.obj("functionDeclarations", *_HOSTED)
        if (declared := fields.get("functionDeclarations")) is not None:
            tools += [_declared(one) for one in declared.items()]
        tools += [
            Tool("web_search" if name.startswith("googleSearch") else name, kind="hosted")
            for name in _HOSTED
            if fields.get(name) is not None
        ]
    names = [tool.name for tool in tools]
    for name in names:
        if names.count(name) > 1 and listed is not None:
            raise listed.refused(f"Duplicate function declaration found: {name}")
    return tuple(tools)


def _declared(node: Node) -> Tool:
    fields = node.obj(*_DECLARATION)
    name = fields.need("name")
    if not _NAME.fullmatch(name.text()):
        raise name.refused(
            f"Invalid function name '{name.value}' at '{name.path}'. Must start with a letter or an underscore. Must be alphanumeric "
            "(a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 64."
        )
    old, new = fields.get("parameters"), fields.get("parametersJsonSchema")
    if old is not None and new is not None:
        raise new.refused("Only one of parameters and parameters_json_schema may be set.")
    if old is not None:
        _check_schema(old)
    schema = new or old
    return Tool(name.text(), schema.raw() if schema is not None else None)


def _check_schema(node: Node) -> None:
    fields = node.obj(*_SCHEMA)
    if str(fields.value.get("type", "")).lower() == "object" and fields.value.get("properties") == {}:
        raise node.refused(f"{node.path}.properties: should be non-empty for OBJECT type")
    if (items := fields.get("items")) is not None:
        _check_schema(items)
    if (several := fields.get("anyOf")) is not None:
        for one in several.items():
            _check_schema(one)
    properties = fields.get("properties")
    known = properties.raw() if properties is not None else {}
    for name, below in known.items():
        _check_schema(Node(below, node.wording, f"{node.path}.properties[{name}]"))
    for name in fields.value.get("required") or ():
        if name not in known:
            raise node.refused(f"{node.path}.required: property is not defined: '{name}'")


def read_choice(node: Node | None, tools: tuple[Tool, ...]) -> Choice:
    """https://ai.google.dev/gemini-api/docs/function-calling#function_calling_modes"""
    if node is None:
        return Choice()
    config = node.obj("functionCallingConfig", "retrievalConfig", "includeServerSideToolInvocations").get(
        "functionCallingConfig"
    )
    if config is None:
        return Choice()
    fields = config.obj("mode", "allowedFunctionNames")
    mode = fields.need("mode").among("AUTO", "ANY", "NONE", "VALIDATED", "MODE_UNSPECIFIED")
    listed = fields.get("allowedFunctionNames")
    names = tuple(name.text() for name in listed.items()) if listed is not None else ()
    functions = {tool.name for tool in tools if tool.kind != "hosted"}
    if names and mode not in ("ANY", "VALIDATED"):
        raise config.refused("Allowed function names should be set only when function calling mode is ANY.")
    if unknown := [name for name in names if name not in functions]:
        raise config.refused(f"allowed_function_names contains a function that is not declared: {unknown[0]}")
    if mode == "ANY" and not functions:
        raise config.refused("Function calling config is set without function_declarations.")
    match mode:
        case "NONE":
            return Choice("none")
        case "ANY":
            return Choice("required", names)
        case _:
            return Choice("auto", names)
