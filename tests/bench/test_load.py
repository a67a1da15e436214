"""The benchmark's load, provider and arithmetic say what happened."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from array import array

import httpx
import pytest

from bench.cases import CLIENTS, DIALECTS, ENDS, PACED, PATHS, Case
from bench.figures import Provider
from bench.load import Figures, Question, request, run
from bench.processes import cpu_of, family, memory_of
from bench.targets import NATIVE, Target
from bench.upstream import EVENTS, REPLIES
from shared.dialects import Api


def _question(case: Case, ends: bytes | None = None) -> Question:
    raw = request(PATHS[case.client], {}, case.body("m"))
    return Question(raw, (ENDS[case.client] if case.stream else b"") if ends is None else ends)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("stream", [False, True])
def test_whole_answers_are_counted_and_timed(provider: Provider, client: Api, stream: bool) -> None:
    case = Case(client, client, 4, stream)
    provider.pace(0)
    figures = asyncio.run(run(provider.port, _question(case), 4, 0.2))
    assert figures.requests > 20
    assert figures.failures == 0
    assert len(figures.latencies) == len(figures.first_words) == figures.requests
    assert all(0 < first <= taken for first, taken in zip(figures.first_words, figures.latencies, strict=True))
    assert Target("it", provider.port, NATIVE).trouble(case) == ""
    assert case.place in provider.asked()


def test_answers_that_are_not_what_they_must_be_are_failures(provider: Provider) -> None:
    provider.pace(0)
    unended = asyncio.run(run(provider.port, _question(Case(stream=True), b"never said"), 2, 0.1))
    assert unended.requests == unended.failures > 0
    missing = Question(request("/v1/nothing", {}, b"{}"))
    unfound = asyncio.run(run(provider.port, missing, 2, 0.1))
    assert unfound.requests == unfound.failures > 0
    assert Target("it", provider.port, {("messages", "gemini"): "m"}).trouble(Case("messages", "gemini")) == ""
    assert "not offered" in Target("it", provider.port, {}).trouble(Case())


def test_a_connection_that_breaks_is_a_failure_and_no_hang() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nword \r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def ask() -> Figures:
        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        figures = await run(server.sockets[0].getsockname()[1], _question(Case(stream=True)), 3, 0.2)
        server.close()
        await server.wait_closed()
        return figures

    figures = asyncio.run(ask())
    assert (figures.requests, figures.failures) == (0, 3)


@pytest.mark.parametrize("cut", [11, 37, 2000])
def test_an_answer_in_pieces_of_any_size_is_one_answer(cut: int) -> None:
    reply = REPLIES[b"chat/completions"]
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire = head + b"".join(reply.chunks)

    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            for start in range(0, len(wire), cut):
                writer.write(wire[start : start + cut])
                await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()

    async def ask() -> Figures:
        server = await asyncio.start_server(dribble, "127.0.0.1", 0)
        figures = await run(server.sockets[0].getsockname()[1], _question(Case(stream=True)), 1, 0.2)
        server.close()
        await asyncio.sleep(0.05)
        return figures

    figures = asyncio.run(ask())
    assert figures.requests > 0
    assert figures.failures == 0


def test_paced_streams_take_their_nominal_time(provider: Provider) -> None:
    provider.pace(2)
    case = Case(stream=True, pace=2, connections=8)
    figures = asyncio.run(run(provider.port, _question(case), 8, 0.3, case.nominal))
    assert figures.failures == 0
    assert 0.1 < case.nominal < 0.14
    assert min(figures.latencies) > case.nominal - 0.005
    assert figures.first_word < 0.1 * case.nominal + 0.05


def test_on_pace_is_within_the_slack_of_the_nominal_time() -> None:
    figures = Figures(requests=4, latencies=array("d", [0.6, 0.62, 0.669, 0.7]))
    assert figures.on_pace(0.62) == 0.75
    assert figures.latency(0.5) == 0.669
    assert PACED.nominal == pytest.approx(0.62)


@pytest.mark.parametrize("api", DIALECTS)
def test_every_dialect_says_all_words(api: Api) -> None:
    name = {"chat_completions": b"chat/completions", "gemini": b"enerateContent"}.get(api, api.encode())
    reply = REPLIES[name]
    assert reply.whole.count(b"word ") >= EVENTS
    assert b"".join(reply.chunks).count(b"word ") >= EVENTS
    assert reply.chunks[-1].endswith(b"\r\n0\r\n\r\n")
    assert b"word" in reply.chunks[reply.lead - 1]
    assert not any(b"word" in chunk for chunk in reply.chunks[: reply.lead - 1])


def test_processor_time_of_another_process_is_its_own() -> None:
    spin = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass\nprint(time.process_time(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", spin], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        told = float(running.stdout.readline())
        assert cpu_of(running.pid) == pytest.approx(told, abs=0.02)
        assert running.pid in family(os.getpid())
        assert 1 < memory_of(running.pid) < 100
        running.communicate("\n")


def test_the_provider_refuses_what_it_does_not_know(provider: Provider) -> None:
    assert httpx.get(f"http://127.0.0.1:{provider.port}/nothing", trust_env=False).status_code == 404
