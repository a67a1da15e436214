"""The soak's clients: three APIs, whole and streamed, passed through and translated, patient ones and those that hang up."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from random import Random

import orjson

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
_OPENAI, _CLAUDE, _GEMINI = "openai/gpt-4o", "anthropic/claude-haiku-4-5", "google/gemini-2.5-flash"
_LANES = tuple((path, model) for path in (CHAT, MESSAGES, RESPONSES) for model in (_OPENAI, _CLAUDE, _GEMINI))
MOVES = "gpt-4o"
"""Served by two providers: where the first fails, the second answers."""
MODELS = (MOVES, _OPENAI, _CLAUDE, _GEMINI)
_FAULTS = ("limited", "failing", "overloaded", "wrong", "cut", "nonsense")
_ENDS = {CHAT: b"data: [DONE]\n\n", MESSAGES: b"event: message_stop\n", RESPONSES: b"event: response.completed\n"}
_BREAKS = {CHAT: b'data: {"error"', MESSAGES: b"event: error\n", RESPONSES: b"event: response.failed\n"}
_ID = re.compile(rb"\r\nx-request-id: (\w+)")
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)")
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request: what the provider is to do with it, and how its client behaves (`reads`, `slowly`, `leaves`, `midway`)."""

    number: int
    path: str
    model: str
    stream: bool
    plan: str
    client: str

    @property
    def body(self) -> bytes:
        """As its client API has it; every third is a conversation that goes on."""
        text = f"soak:{self.plan}:{self.number}; " + "Say a few words. " * 20
        talk = [{"role": "user", "content": text}]
        if self.number % 3 == 0:
            talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}, *talk]
        names = ("input", "max_output_tokens") if self.path == RESPONSES else ("messages", "max_tokens")
        asked = {"model": self.model, "stream": self.stream, names[0]: talk, names[1]: 2_000}
        return orjson.dumps(asked)

    @property
    def name(self) -> str:
        """What the table calls it."""
        return self.plan if self.client == "reads" else f"{self.plan}, client {self.client}"


def draw(dice: Random, number: int) -> Request:
    """Any request: seven of ten go well, the others don't."""
    path, model = dice.choice(_LANES)
    stream, luck = dice.random() < 0.6, dice.random()
    if luck < 0.70:
        return Request(number, path, model, stream, "fine", "reads")
    if luck < 0.78:
        return Request(number, path, model, stream, dice.choice(_FAULTS), "reads")
    if luck < 0.82:
        return Request(number, path, model, True, "half", "reads")
    if luck < 0.825:
        return Request(number, path, model, True, "stalling", "reads")
    if luck < 0.87:
        return Request(number, path, MOVES, stream, "moving", "reads")
    if luck < 0.88:
        return Request(number, path, model, True, "big", "slowly")
    return Request(number, path, model, True, "paced", "leaves" if luck < 0.94 else "midway")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client saw: the status (0: it left before there was one), the row's id, and whether it may trust the end."""

    request: Request
    status: int
    id: str
    complete: bool


@dataclass
class Log:
    """Everything that was asked, and whatever was wrong with an answer."""

    seen: list[Seen] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    names: Counter[str] = field(default_factory=Counter)


class Crowd:
    """So many clients at once, each asking again as soon as it is done."""

    def __init__(self, port: int, token: str, clients: int, log: Log) -> None:
        self._port, self._token, self._clients, self._log = port, token, clients, log
        self._numbers = count()
        self._dice = Random(7)

    async def ask(self, seconds: float) -> None:
        """Asks for so long; returns when all is answered and every connection is closed."""
        stop = time.monotonic() + seconds
        await asyncio.gather(*[self._client(stop) for _ in range(self._clients)])

    async def _client(self, stop: float) -> None:
        connection: Connection | None = None
        while time.monotonic() < stop:
            request = draw(self._dice, next(self._numbers))
            self._log.names[request.name] += 1
            if connection is None or request.client != "reads":
                if connection is not None:
                    await connection.close()
                connection = await Connection.open(self._port, request.client == "slowly")
            try:
                async with asyncio.timeout(_PATIENCE):
                    seen = await connection.ask(request, self._token)
            except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
                self._log.wrong.append(f"{request.name} over {request.path}: {type(error).__name__}")
                seen = Seen(request, 0, "", False)
            self._log.seen.append(seen)
            self._log.wrong += connection.wrong
            connection.wrong.clear()
            if request.client != "reads" or seen.status == 0:
                await connection.close()
                connection = None
        if connection is not None:
            await connection.close()


@dataclass
class Connection:
    """A client's connection. `wrong` gathers what an answer should not have been."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    wrong: list[str] = field(default_factory=list)

    @classmethod
    async def open(cls, port: int, narrow: bool) -> Connection:
        """`narrow`: with a receive buffer so small that the gateway has to wait for its reader."""
        plug = socket.socket()
        if narrow:
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        plug.setblocking(False)
        await asyncio.get_running_loop().sock_connect(plug, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=plug, limit=32_768 if narrow else 1_048_576)
        return cls(reader, writer)

    async def close(self) -> None:
        """Hangs up."""
        self.writer.close()  # in order: a reset would take what the gateway has not read yet with it
        await asyncio.sleep(0)

    async def ask(self, request: Request, token: str) -> Seen:
        """Asks, and reads what comes as this client does. Raises what a torn connection raises."""
        body = request.body
        head = f"POST {request.path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)
        if request.client == "leaves":
            await asyncio.sleep(0.02)
            return Seen(request, 0, "", False)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        status, name = int(answer[9:12]), _ID.search(answer)
        if name is None:
            self.wrong.append(f"{request.name}: no x-request-id")
        if request.client == "midway":
            await self.reader.readuntil(b"\n\n")
            return Seen(request, status, name[1].decode() if name else "", False)
        length = _LENGTH.search(answer)
        raw = await self.reader.readexactly(int(length[1])) if length else await self._chunks(request.client)
        complete = self._judge(request, status, raw)
        return Seen(request, status, name[1].decode() if name else "", complete)

    async def _chunks(self, how: str) -> bytes:
        pieces: list[bytes] = []
        while True:
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            pieces.append((await self.reader.readexactly(size + 2))[:-2])
            if size == 0:
                return b"".join(pieces)
            if how == "slowly":
                await asyncio.sleep(0.005)

    def _judge(self, request: Request, status: int, raw: bytes) -> bool:
        """Whether the reply is whole; notes one that isn't what the plan has to lead to."""
        mark = f"n{request.number};".encode()
        if request.plan in _FAULTS:
            good = status != 200 and b'"error"' in raw
            complete = False
        elif request.plan in ("half", "stalling"):
            good = status == 200 and mark in raw and _BREAKS[request.path] in raw and _ENDS[request.path] not in raw
            complete = False
        else:
            ended = _ENDS[request.path] in raw if request.stream else raw.endswith(b"}")
            good = complete = status == 200 and mark in raw and ended
        if not good:
            self.wrong.append(f"{request.name} over {request.path} to {request.model}: {status} {_short(raw)}")
        return complete


def _short(raw: bytes) -> str:
    return (raw if len(raw) < 400 else raw[:200] + b" ... " + raw[-200:]).decode("utf-8", "replace")
