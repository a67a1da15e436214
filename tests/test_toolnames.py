"""Names of tools there and back, and free text out of streamed arguments."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.canonical import CustomTool, FunctionTool
from shared.dialects.toolnames import ToolNames, ToolRef, Unwrap, wrap
from shared.errors import GatewayError


def test_namespaces_long_names_and_kinds_come_back() -> None:
    long = "x" * 80
    names = ToolNames.of(
        [
            FunctionTool("wait", namespace="functions"),
            CustomTool("exec", namespace="functions"),
            FunctionTool(long),
            FunctionTool("a.b"),
        ]
    )
    for namespace, name, kind in [
        ("functions", "wait", "function"),
        ("functions", "exec", "custom"),
        ("", long, "function"),
        ("", "a.b", "function"),
    ]:
        wire = names.wire(name, namespace)
        assert len(wire) <= 64
        assert names.client(wire) == ToolRef(name, namespace, kind)


def test_names_that_fall_together_are_kept_apart() -> None:
    names = ToolNames.of([FunctionTool("b", namespace="a"), FunctionTool("a__b"), FunctionTool("a__b")])
    assert names.wire("b", "a") != names.wire("a__b")
    assert names.client(names.wire("a__b")) == ToolRef("a__b")


@given(st.text(), st.booleans(), st.data())
def test_unwrap_in_any_pieces(text: str, ascii_only: bool, data: st.DataObject) -> None:
    wire = json.dumps({"input": text}, ensure_ascii=ascii_only)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    unwrap, out = Unwrap(), ""
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        out += unwrap.feed(wire[start:end])
    unwrap.close()
    assert out == text


def test_unwrap_byte_by_byte_with_a_lone_surrogate() -> None:
    unwrap = Unwrap()
    assert "".join(unwrap.feed(c) for c in '{"input": "a\\ud800bcdefghijklm\\n"}') == "a\ufffdbcdefghijklm\n"
    unwrap.close()
    assert wrap("a\n") == '{"input":"a\\n"}'


def _unwrapped(wire: str) -> str:
    unwrap = Unwrap()
    text = unwrap.feed(wire)
    unwrap.close()
    return text


@pytest.mark.parametrize("wire", ["{}", '{"other": "x"}', '{"input": "cut', "x" * 300])
def test_unwrap_refuses_other_forms(wire: str) -> None:
    with pytest.raises(GatewayError):
        _unwrapped(wire)
