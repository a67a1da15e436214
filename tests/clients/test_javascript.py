"""The JavaScript packages of OpenAI, Anthropic and Vercel on every upstream dialect; the scripts are in `npm/`."""

from __future__ import annotations

import pytest

from tests.clients.desk import NPM, UPSTREAMS, Desk


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("package", ["openai", "anthropic", "vercel"])
def test_a_package(desk: Desk, package: str, upstream: str) -> None:
    desk.prefer(upstream)
    ran = desk.run("node", "--test", "--test-reporter=spec", str(NPM / f"{package}.test.mjs"), MODEL=upstream)
    assert ran.code == 0, ran.told
