"""A provider whose TLS is not what it has to be gets no request, and above all no key. One of a known authority is served."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest

from tests.gateway.live import KEYS, Live
from tests.gateway.provider import Provider, json_reply, sse_reply
from tests.gateway.test_process import started
from tests.gateway.wire import CHAT, MESSAGES
from tests.security.certificates import Authority


class TlsProvider(Provider):
    """The same over TLS."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()
        self.script = lambda asked: sse_reply(*CHAT.events) if asked.json.get("stream") else json_reply(CHAT.whole)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(lambda loop, context: None)  # handshakes that clients break off
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


class Rude(Provider):
    """Closes or answers in plain text before a handshake is through; `asked` stays empty."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        super().__init__()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(64)
        writer.write(self._answer)
        writer.close()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


BAD = {
    "openai/gpt-4o": "signed by nobody known",
    "openrouter/openai/gpt-4o": "another name",
    "groq/openai/gpt-oss-120b": "expired",
    "xai/grok-4": "handshake cut",
    "zai/glm-5": "plain text",
}


@pytest.fixture(scope="module")
def providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Provider], Path]]:
    ours, other = Authority(tmp_path_factory.mktemp("ours")), Authority(tmp_path_factory.mktemp("other"))
    with ExitStack() as stack:
        made: dict[str, Provider] = {
            "ANTHROPIC": TlsProvider(ours.context("127.0.0.1")),
            "GOOGLE": TlsProvider(ours.context("127.0.0.1")),
            "OPENAI": TlsProvider(other.context("127.0.0.1")),
            "OPENROUTER": TlsProvider(ours.context("provider.example")),
            "GROQ": TlsProvider(ours.context("127.0.0.1", days=1)),
            "XAI": Rude(b""),
            "ZAI": Rude(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"),
        }
        for provider in made.values():
            stack.enter_context(closing(provider))
        yield made, ours.file


@pytest.fixture(scope="module")
def client(
    providers: tuple[dict[str, Provider], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    made, file = providers
    upstreams = {f"{name}_UPSTREAM_URL": provider.url for name, provider in made.items()}
    folder = tmp_path_factory.mktemp("gateway")
    with started(folder, WORKERS="1", SSL_CERT_FILE=str(file), COOLDOWN_SECONDS="0", **KEYS, **upstreams) as (
        process,
        url,
    ):
        drained = threading.Thread(target=lambda: process.stderr and process.stderr.read(), daemon=True)
        drained.start()
        live = Live(url, made["ANTHROPIC"], folder)
        yield live.caller("anthropic/claude-haiku-4-5", *BAD)
        live.rest()


@pytest.mark.parametrize("model", BAD, ids=lambda model: BAD[model].replace(" ", "-"))
@pytest.mark.parametrize("stream", [False, True])
def test_bad_tls_gets_no_key(
    client: httpx.Client, providers: tuple[dict[str, Provider], Path], model: str, stream: bool
) -> None:
    reply = client.post(CHAT.path, json=CHAT.body(model=model, stream=stream))
    assert (reply.status_code, CHAT.code(reply)) == (502, "PROVIDER_ERROR")
    assert reply.headers["content-type"] == "application/json"
    assert "127.0.0.1" not in reply.text
    assert not providers[0][model.partition("/")[0].upper()].asked


@pytest.mark.parametrize("stream", [False, True])
def test_an_authority_of_ones_own_is_trusted(
    client: httpx.Client, providers: tuple[dict[str, Provider], Path], stream: bool
) -> None:
    made = providers[0]["ANTHROPIC"]
    made.script = lambda asked: sse_reply(*MESSAGES.events) if asked.json.get("stream") else json_reply(MESSAGES.whole)
    reply = client.post(MESSAGES.path, json=MESSAGES.body(stream=stream, model="anthropic/claude-haiku-4-5"))
    assert reply.status_code == 200
    assert "Hello" in reply.text
    assert made.asked[-1].headers["x-api-key"] == KEYS["ANTHROPIC_API_KEY"]
