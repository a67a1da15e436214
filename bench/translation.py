"""What translation costs: CPU per stream and per request, memory per open stream, for every pair of client and upstream.

python -m bench.translation
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from functools import cache, partial

import orjson

from emulator.demo import chat, gemini, messages, responses
from emulator.demo.face import Asked, Face
from emulator.demo.model import answer
from shared.canonical import Flags, Json, Limits, Request, Target
from shared.dialects import Api, Reading, Writing, dialect
from shared.plan import Ask
from shared.relay import Passthrough, Relay, Translated

CLIENTS: tuple[Api, ...] = ("chat_completions", "messages", "responses")
FACES: dict[Api, Face] = {
    "chat_completions": chat.FACE,
    "messages": messages.FACE,
    "responses": responses.FACE,
    "gemini": gemini.FACE,
}
CHUNKS = 60
TARGET = Target("demo", "demo-1", Limits(200_000, 32_000), Flags(prefill=True, json_schema=True, mid_system=True))


@cache
def stream_of(api: Api) -> list[bytes]:
    """A streamed reply of about 60 events, as a provider sends it: one event in each piece."""
    said = f"[[long {CHUNKS}]]"
    bodies: dict[Api, Json] = {
        "chat_completions": {"model": "demo-1", "messages": [{"role": "user", "content": said}], "stream": True},
        "messages": {"model": "demo-1", "max_tokens": 4000, "messages": [{"role": "user", "content": said}], "stream": True},
        "responses": {"model": "demo-1", "input": said, "stream": True},
        "gemini": {"contents": [{"role": "user", "parts": [{"text": said}]}]},
    }  # fmt: skip
    body = bodies[api]
    face = FACES[api]
    prompt = face.read(body, Asked({"anthropic-version": "2023-06-01"}, "demo-1", api == "gemini"))
    return [frame.data for frame in face.stream(prompt, answer(prompt)).frames()]


def writing() -> Writing:
    return Writing(Request("demo-1", (), stream=True), {"model": "demo-1"}, "demo-1", "0" * 32, 1_795_550_400)


def relay(client: Api, upstream: Api) -> Relay:
    """The relay of a pair: the pass-through where both speak the same."""
    if client == upstream:
        return Passthrough(dialect(client), dialect(client).repair({"stream": True}, TARGET))
    return Translated(dialect(client), dialect(upstream), Reading(TARGET), writing())


def cost_of(work: Callable[[], object], repeat: int = 30, rounds: int = 7) -> float:
    """Microseconds of CPU for one piece of work: the best of several rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(repeat):
            work()
        best = min(best, time.process_time() - start)
    return best / repeat * 1e6


def play(client: Api, upstream: Api, pieces: list[bytes]) -> None:
    one = relay(client, upstream)
    for piece in pieces:
        one.feed(piece)
    one.close()


def conversation(client: Api, size: int) -> Json:
    """A tool loop of about `size` bytes."""
    text = "word " * 160
    step = {"chat_completions": _chat_step, "messages": _messages_step, "responses": _responses_step}[client]
    turns: list[Json] = []
    while len(orjson.dumps(turns)) < size:
        for number in range(8):
            turns += step(f"call_{len(turns)}_{number}", text)
    first = {"role": "user", "content": "go"}
    if client == "responses":
        return {"model": "demo-1", "input": [first, *turns]}
    return {"model": "demo-1", "max_tokens": 1000, "messages": [first, *turns]}


def _chat_step(id_: str, text: str) -> list[Json]:
    call = {"id": id_, "type": "function", "function": {"name": "read", "arguments": '{"path":"a.txt"}'}}
    return [{"role": "assistant", "content": text, "tool_calls": [call]}, {"role": "tool", "tool_call_id": id_, "content": text}]  # fmt: skip


def _messages_step(id_: str, text: str) -> list[Json]:
    use = {"type": "tool_use", "id": id_, "name": "read", "input": {"path": "a.txt"}}
    result = {"type": "tool_result", "tool_use_id": id_, "content": text}
    return [{"role": "assistant", "content": [{"type": "text", "text": text}, use]}, {"role": "user", "content": [result]}]  # fmt: skip


def _responses_step(id_: str, text: str) -> list[Json]:
    call = {"type": "function_call", "call_id": id_, "name": "read", "arguments": '{"path":"a.txt"}'}
    result = {"type": "function_call_output", "call_id": id_, "output": text}
    return [{"type": "message", "role": "assistant", "content": text}, call, result]


def translate(client: Api, upstream: Api, raw: bytes) -> bytes:
    """A request from the client's bytes to the provider's."""
    ask = Ask(raw, dialect(client), {})
    return orjson.dumps(dialect(upstream).write_request(ask.request, TARGET).body)


def memory_of(client: Api, upstream: Api, open_streams: int = 50) -> float:
    """Bytes that one open stream holds when half of it has passed."""
    pieces = stream_of(upstream)
    play(client, upstream, pieces)  # imports and caches
    tracemalloc.start()
    relays = [relay(client, upstream) for _ in range(open_streams)]
    for one in relays:
        for piece in pieces[: len(pieces) // 2]:
            one.feed(piece)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / open_streams


def main() -> None:
    """Prints the table: each stream against the pass-through of the same upstream (of the client's own, for one that no client
    speaks)."""
    for api in FACES:
        for client in CLIENTS:
            play(client, api, stream_of(api))  # imports and caches
    print(f"{'client':18}{'upstream':18}{'stream µs':>10}{'× pass':>8}{'500 KB ms':>11}{'1 MB ms':>9}{'held KB':>9}")
    for client in CLIENTS:
        passed = cost_of(partial(play, client, client, stream_of(client)))
        half, whole = orjson.dumps(conversation(client, 500_000)), orjson.dumps(conversation(client, 1_000_000))
        for upstream in FACES:
            pieces = stream_of(upstream)
            spent = cost_of(partial(play, client, upstream, pieces))
            own = cost_of(partial(play, upstream, upstream, pieces)) if upstream in CLIENTS else passed
            small, large = (cost_of(partial(translate, client, upstream, raw), 1, 5) / 1000 for raw in (half, whole))
            kilobytes = memory_of(client, upstream) / 1024
            print(f"{client:18}{upstream:18}{spent:10.0f}{spent / own:8.2f}{small:11.2f}{large:9.2f}{kilobytes:9.1f}")


if __name__ == "__main__":
    main()
