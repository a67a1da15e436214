"""How many tokens a prompt has: the provider's own count where it has one, else an estimate from the text.

The estimate sees a text as a tokenizer does (words, numbers, white space, signs) and weighs what it sees. The weights were fitted
to OpenAI's o200k vocabulary over prose, code, JSON and recorded requests of coding agents, where it is within 5 %.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import orjson

from shared.canonical import (
    Audio,
    Block,
    CustomTool,
    Document,
    FunctionTool,
    HostedCall,
    Image,
    Json,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from shared.context import Gateway
from shared.dialects import dialect
from shared.errors import GatewayError
from shared.keys import ProviderKey
from shared.plan import Ask, counting_call, write_json
from shared.routing import Route

log = logging.getLogger("ekai.counting")

_PIECE = re.compile(r"([ \t]?[A-Za-zÀ-ɏ]+)|[ ]?(\d+)|([ \t\r\n]+)|([^\w\s]+)|(\w+)")
_PART = re.compile(r"[A-ZÀ-Þ]?[a-zß-ɏ]+|[A-ZÀ-Þ]+(?![a-zß-ɏ])")
_WORD, _PART_OF_WORD, _LONG = 0.931, 0.497, 0.35
_DIGITS, _SPACE, _SIGNS, _WIDE, _OTHER = 1.432, 0.863, 1.163, 0.8, 0.332
_COMMON = 7  # letters of a word that one token still holds
_FIRST_WIDE = 0x2E80  # CJK and what follows it: about a token a character

PER_TURN, PER_TOOL = 4, 8
PER_IMAGE = 1500  # a picture of about a megapixel
PER_PDF_BYTE = 1 / 40  # a page of text and its picture: some 2,500 tokens in 100 KB
_RESPONSES_FIELDS = (
    "model", "input", "instructions", "parallel_tool_calls", "reasoning", "text", "tool_choice", "tools", "truncation",
)  # fmt: skip


async def count(gateway: Gateway, ask: Ask, route: Route, key: ProviderKey) -> tuple[int, bool]:
    """Tokens of the prompt, and whether that is an estimate. Raises the provider's own error about a wrong request (400)."""
    if route.endpoint.count:
        try:
            return await _counted(gateway, ask, route, key), False
        except GatewayError as error:
            if error.status == 400:
                raise error.without(key.value) from None
            log.info("%s could not count: %s", route.provider.id, error.status)
    return estimate(ask.request), True


async def _counted(gateway: Gateway, ask: Ask, route: Route, key: ProviderKey) -> int:
    call = counting_call(ask, route, key, _body(ask, route))
    answer = await gateway.upstream.send(call, gateway.settings.upstream_timeout)
    try:
        status, raw = answer.status, await answer.whole()
    finally:
        answer.close()
    provider = dialect(route.endpoint.api)
    if status != 200:
        raise provider.read_error(status if status >= 400 else 502, raw)
    return _read(raw, provider.read_error(502, raw))


def _body(ask: Ask, route: Route) -> Json:
    match route.endpoint.api:
        case "messages":
            from shared.dialects.anthropic import write_count_request

            return write_count_request(ask.body, route.target)
        case "gemini":
            from shared.dialects.gemini import write_count_request as write_gemini

            return write_gemini(ask.request, route.target)
        case api:
            body = dialect(api).write_request(ask.request, route.target).body
            return {name: body[name] for name in _RESPONSES_FIELDS if name in body}


def _read(raw: bytes, otherwise: GatewayError) -> int:
    try:
        match orjson.loads(raw):
            case {"input_tokens": int(tokens)} | {"totalTokens": int(tokens)}:
                return tokens
    except ValueError:
        raise otherwise from None
    raise otherwise


def estimate(request: Request) -> int:
    """The whole prompt: system, turns, tools, output format."""
    total = sum(tokens_in(text.text) for text in request.system)
    for turn in request.turns:
        total += PER_TURN + sum(_block(block) for block in turn.blocks)
    total += sum(PER_TOOL + sum(map(tokens_in, _words(tool))) for tool in request.tools)
    if request.format is not None and request.format.schema is not None:
        total += tokens_in(write_json(request.format.schema).decode())
    return max(total, 1)


def _block(block: Block | object) -> int:
    match block:
        case Text(text=text) | Thinking(text=text):
            return tokens_in(text)
        case ToolCall():
            return PER_TOOL + tokens_in(block.name) + tokens_in(block.arguments)
        case ToolResult():
            return PER_TURN + sum(_block(part) for part in block.content)
        case Image():
            return PER_IMAGE
        case Document():
            return tokens_in(block.text) + round(len(block.data) * PER_PDF_BYTE)
        case Audio():
            return tokens_in(block.transcript) + len(block.data) // 1000
        case HostedCall():
            return tokens_in(write_json(block.input).decode()) + sum(tokens_in(hit.text) for hit in block.results)
        case _:
            return PER_TURN


def _words(tool: Tool) -> Iterator[str]:
    match tool:
        case FunctionTool():
            yield from (tool.name, tool.description)
            yield write_json(tool.schema).decode() if tool.schema else ""
        case CustomTool():
            yield from (tool.name, tool.description)
            yield write_json(tool.format).decode() if tool.format else ""
        case _:
            yield write_json(tool.raw).decode()


def tokens_in(text: str) -> int:
    """About how many tokens a text has; linear in its length."""
    total = 0.0
    for word, digits, space, signs, other in _PIECE.findall(text):
        if word:
            total += _word(word)
        elif digits:
            total += _DIGITS * ((len(digits) + 2) // 3)
        elif space:
            total += _SPACE if space != " " else 0.0
        elif signs:
            total += _SIGNS
        else:
            total += sum(_WIDE if ord(character) >= _FIRST_WIDE else _OTHER for character in other)
    return round(total)


def _word(word: str) -> float:
    """A word after a blank is mostly one token; one inside a name or a path, and each further part of a camelCase one, less."""
    apart = word[0] in " \t"
    parts = _PART.findall(word)
    total = (_WORD if apart else _PART_OF_WORD) + _PART_OF_WORD * (len(parts) - 1)
    if apart and len(word) > _COMMON:
        total += sum(_LONG * (len(part) - _COMMON) for part in parts if len(part) > _COMMON)
    return total
