"""Strict reading of request bodies: every value knows its path, and every complaint is worded as the imitated API words it."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from emulator.demo.talk import Json


class RefusedError(Exception):
    """The request is wrong. `type` and `code` are the API's own words, where it has any."""

    def __init__(self, message: str, *, status: int = 400, param: str = "", type: str = "", code: str = "") -> None:  # noqa: A002
        super().__init__(message)
        self.message, self.status, self.param, self.type, self.code = message, status, param, type, code


@dataclass(frozen=True, slots=True)
class Wording:
    """How an API complains. `camel`: it is protobuf's JSON, where snake_case names mean the same as camelCase ones."""

    missing: Callable[[str], str]
    unknown: Callable[[str, str], str]  # path of the object, name of the field
    type: Callable[[str, str, Any], str]  # path, what is wanted, what came
    index: str = "[{}]"
    camel: bool = False


_SNAKE = re.compile(r"_([a-z])")


@dataclass(frozen=True, slots=True)
class Node:
    """A value inside a body, with its path."""

    value: Any
    wording: Wording
    path: str = ""

    def refused(self, message: str, **more: Any) -> RefusedError:
        return RefusedError(message, param=self.path, **more)

    def wanted(self, what: str) -> RefusedError:
        return self.refused(self.wording.type(self.path, what, self.value), code="invalid_type")

    def obj(self, *allowed: str) -> Node:
        """This object, which may hold only these fields. Names in `x_…` are let
        through (not by protobuf): they stand for fields of the future."""
        if not isinstance(self.value, dict):
            raise self.wanted("an object")
        value = self.value
        if self.wording.camel:
            value = {_SNAKE.sub(lambda m: m[1].upper(), name) if "_" in name else name: v for name, v in value.items()}
        for name in value:
            if name not in allowed and not name.startswith("x_"):
                raise self.refused(self.wording.unknown(self.path, name), code="unknown_parameter")
        return Node(value, self.wording, self.path)

    def get(self, name: str) -> Node | None:
        """The field; None where it is absent or null."""
        value = self.value.get(name)
        return None if value is None else self._below(name, value)

    def need(self, name: str) -> Node:
        node = self.get(name)
        if node is None:
            path = f"{self.path}.{name}" if self.path else name
            raise RefusedError(self.wording.missing(path), param=path, code="missing_required_parameter")
        return node

    def _below(self, name: str, value: Any) -> Node:
        return Node(value, self.wording, f"{self.path}.{name}" if self.path else name)

    def items(self) -> list[Node]:
        if not isinstance(self.value, list):
            raise self.wanted("an array")
        return [Node(v, self.wording, self.path + self.wording.index.format(i)) for i, v in enumerate(self.value)]

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise self.wanted("a string")
        return self.value

    def truth(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.wanted("a boolean")
        return self.value

    def number(self, low: float, high: float) -> float:
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self.wanted("a number")
        if not low <= self.value <= high:
            raise self.refused(f"{self.path}: {self.value} is out of range; expected a value from {low:g} to {high:g}.")
        return self.value

    def whole(self, low: int, high: int = 2**53) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            raise self.wanted("an integer")
        return int(self.number(low, high))

    def among(self, *values: str) -> str:
        value = self.text()
        if value not in values:
            listed = ", ".join(f"'{v}'" for v in values)
            raise self.refused(
                f"Invalid value for {self.path}: '{value}'. Supported values are: {listed}.", code="invalid_value"
            )
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        node = self.get(name)
        return default if node is None else node.truth()

    def raw(self) -> Json:
        """An object that isn't looked into (a schema, arguments)."""
        if not isinstance(self.value, dict):
            raise self.wanted("an object")
        value: Json = self.value
        return value

    def base64(self) -> None:
        """Checks that this is base64 of something."""
        try:
            if b64decode(self.text(), validate=True):
                return
        except binascii.Error as error:
            raise self.refused(f"{self.path}: invalid base64 data") from error
        raise self.refused(f"{self.path}: the base64 data is empty")

    def data_url(self) -> None:
        """Checks an address: a data URL with base64 inside, or a web address."""
        url = self.text()
        if url.startswith("data:"):
            head, comma, data = url.partition(",")
            if not comma or not head.endswith(";base64"):
                raise self.refused(f"{self.path}: a data URL must hold base64 data: 'data:<media type>;base64,<data>'.")
            Node(data, self.wording, self.path).base64()
        elif not url.startswith(("http://", "https://")):
            raise self.refused(f"{self.path}: expected a data URL or an http(s) URL, got '{url[:40]}'.")


def names(text: str) -> tuple[str, ...]:
    """The names in a list that is written as words."""
    return tuple(text.split())


def seed_of(body: Json) -> str:
    """The hash that all ids come from. Whether the reply is streamed makes no difference to it."""
    rest = {name: value for name, value in body.items() if name not in ("stream", "stream_options")}
    return sha256(orjson.dumps(rest, option=orjson.OPT_SORT_KEYS)).hexdigest()


def check_strict(schema: Node, name: str) -> None:
    """OpenAI's rules for strict schemas (https://platform.openai.com/docs/guides/structured-outputs#supported-schemas)."""
    _check_strict(schema.value, (), schema, name)


def _check_strict(schema: Any, where: tuple[str, ...], node: Node, name: str) -> None:
    if not isinstance(schema, dict):
        return
    properties = schema.get("properties") or {}
    if schema.get("type") == "object" or properties:
        at = f"Invalid schema for '{name}': In context={where}, "
        if schema.get("additionalProperties") is not False:
            raise node.refused(at + "'additionalProperties' is required to be supplied and to be false.")
        missing = [key for key in properties if key not in (schema.get("required") or ())]
        if missing:
            raise node.refused(
                at + f"'required' is required to be supplied and to be an array including every key in properties. "
                f"Missing '{missing[0]}'."
            )
    for key, below in properties.items():
        _check_strict(below, (*where, "properties", key), node, name)
    for key in ("items", "anyOf", "$defs", "definitions"):
        match schema.get(key):
            case list() as several:
                for i, below in enumerate(several):
                    _check_strict(below, (*where, key, str(i)), node, name)
            case dict() as named if key in ("$defs", "definitions"):
                for k, below in named.items():
                    _check_strict(below, (*where, key, k), node, name)
            case dict() as one:
                _check_strict(one, (*where, key), node, name)
            case _:
                pass
