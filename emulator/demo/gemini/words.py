"""How Google's API complains: its JSON is protobuf's, so an unknown name is an error."""

from __future__ import annotations

from typing import Any

from emulator.demo.reading import Wording


def _unknown(path: str, name: str) -> str:
    where = f" at '{path}'" if path else ""
    return f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.'


def _type(path: str, want: str, got: Any) -> str:
    return f"Invalid value at '{path}': expected {want}."


WORDING = Wording(
    missing=lambda path: f"* GenerateContentRequest.{path}: must be specified",
    unknown=_unknown,
    type=_type,
    camel=True,
)
