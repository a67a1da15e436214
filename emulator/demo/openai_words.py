"""What OpenAI's two APIs have in common: wording of errors, names of tools, text formats."""

from __future__ import annotations

import re
from typing import Any

from emulator.demo.reading import Node, RefusedError, Wording, check_strict
from emulator.demo.talk import Json

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
VERBOSITIES = ("low", "medium", "high")
TIERS = ("auto", "default", "flex", "scale", "priority", "fast", "ultrafast", "on_demand", "performance")


def _type(path: str, want: str, got: Any) -> str:
    return f"Invalid type for '{path}': expected {want}, but got {_kind(got)} instead."


def _kind(value: Any) -> str:
    names = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "an integer",
        float: "a decimal",
    }
    return names.get(type(value), "null")


WORDING = Wording(
    missing=lambda path: f"Missing required parameter: '{path}'.",
    unknown=lambda path, name: f"Unknown parameter: '{path + '.' if path else ''}{name}'.",
    type=_type,
)


def refuse(error: RefusedError) -> Json:
    """The body of an error (https://platform.openai.com/docs/guides/error-codes)."""
    types = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    kind = types.get(error.status, "invalid_request_error" if error.status < 500 else "server_error")
    codes = {429: "rate_limit_exceeded", 401: "invalid_api_key"}
    code = error.code or codes.get(error.status)
    return {
        "error": {
            "message": error.message,
            "type": error.type or kind,
            "param": error.param or None,
            "code": code,
        }
    }


def tool_name(node: Node) -> str:
    name = node.text()
    if not _NAME.fullmatch(name):
        raise node.refused(
            f"Invalid '{node.path}': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$' of at most 64 characters.",
            code="invalid_value",
        )
    return name


def read_function(node: Node) -> tuple[str, Json | None]:
    """Name and schema of a function; `node` has been checked for unknown fields."""
    name = tool_name(node.need("name"))
    if (description := node.get("description")) is not None:
        description.text()
    parameters = node.get("parameters")
    if parameters is None:
        return name, None
    schema = parameters.raw()
    if schema.get("type", "object") != "object":
        raise parameters.refused(
            f"Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"', "
            f"got 'type: \"{schema['type']}\"'.",
            code="invalid_function_parameters",
        )
    if node.flag("strict"):
        check_strict(parameters, name)
    return name, schema


def read_grammar(node: Node, nested: bool) -> None:
    """The format of a custom tool. Chat nests the grammar one level deeper than responses do."""
    kind = node.raw().get("type")
    if kind == "text":
        node.obj("type")
        return
    if kind != "grammar":
        raise node.refused(f"Invalid value for '{node.path}.type': expected 'text' or 'grammar'.", code="invalid_value")
    grammar = node.obj("type", "grammar").need("grammar") if nested else node
    fields = grammar.obj("syntax", "definition") if nested else grammar.obj("type", "syntax", "definition")
    fields.need("syntax").among("lark", "regex")
    fields.need("definition").text()


def read_format(node: Node, conversation: str, nested: bool) -> tuple[bool, Json | None]:
    """(JSON is wanted, its schema). Chat nests name and schema below `json_schema`."""
    kind = node.raw().get("type")
    if kind == "text":
        node.obj("type")
        return False, None
    if kind == "json_object":
        node.obj("type")
        if "json" not in conversation.lower():
            raise node.refused(
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
            )
        return True, None
    if kind != "json_schema":
        raise node.refused(
            f"Invalid value: '{kind}'. Supported values are: 'text', 'json_object', and 'json_schema'.",
            code="invalid_value",
        )
    inner = node.obj("type", "json_schema").need("json_schema") if nested else node
    names = ("name", "description", "schema", "strict")
    fields = inner.obj(*names) if nested else inner.obj("type", *names)
    name = tool_name(fields.need("name"))
    schema = fields.need("schema")
    if fields.flag("strict"):
        check_strict(schema, name)
    return True, schema.raw()
