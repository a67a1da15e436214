"""Every provider's error in every client's shape, and streams of errors that clients' SDKs notice."""

from __future__ import annotations

import re
from dataclasses import dataclass

import orjson
import pytest

from shared.canonical import BlockStart, Delta, Event, Failed, Start, Text
from shared.dialects import Api, dialect
from shared.errors import Code, GatewayError
from shared.streams import fold, well_formed
from tests.pairs.recorded import APIS, CLIENTS, FOLDERS, ROOT, parse, raw, read, written

SECRET = "sk-canary-that-nobody-may-see"


@dataclass(frozen=True)
class Refusal:
    """A recorded error: its name begins with its status."""

    api: Api
    name: str

    def __str__(self) -> str:
        return f"{FOLDERS[self.api]}-{self.name}"

    @property
    def status(self) -> int:
        """Google answers a wrong key with 400: https://ai.google.dev/gemini-api/docs/api-key"""
        return 401 if self.name == "400_api_key_invalid" else int(self.name.split("_")[0])

    def read(self) -> GatewayError:
        return dialect(self.api).read_error(int(self.name[:3]), raw(self.api, "errors", f"{self.name}.json"))


REFUSALS = [Refusal(api, path.stem) for api in APIS for path in sorted((ROOT / FOLDERS[api] / "errors").glob("*.json"))]
every_refusal = pytest.mark.parametrize("refusal", REFUSALS, ids=str)
every_client = pytest.mark.parametrize("client", CLIENTS)


@every_refusal
def test_what_a_provider_says_is_understood(refusal: Refusal) -> None:
    error = refusal.read()
    assert error.code is Code.PROVIDER_ERROR
    assert error.status == refusal.status
    assert error.message.strip()
    assert "<html" not in error.message.lower()
    assert not re.search(r"sk-proj|org-Ab|AIza|6812558", error.message)
    assert len(error.message) < 2000


@pytest.mark.parametrize("other", APIS)
@every_refusal
def test_any_provider_may_speak_with_anothers_words(refusal: Refusal, other: Api) -> None:
    """Gateways behind gateways pass on what they got: the text must survive whichever reader meets it."""
    body = raw(refusal.api, "errors", f"{refusal.name}.json")
    error = dialect(other).read_error(refusal.status, body)
    assert (error.status, error.message) == (refusal.status, refusal.read().message)
    assert error.provider_code == refusal.read().provider_code


@every_client
@every_refusal
def test_the_client_reads_it_in_its_own_shape(refusal: Refusal, client: Api) -> None:
    error = refusal.read()
    body = orjson.loads(orjson.dumps(dialect(client).write_error(error, "0123456789abcdef" * 2)))
    inside = body["error"]
    assert inside["message"] == error.message
    if client == "messages":
        assert body["type"] == "error"
        assert body["request_id"]
        assert inside["type"] == error.anthropic_type
    else:
        assert inside.keys() >= {"message", "type", "param", "code"}
        assert inside["type"] == error.openai_type
    again = dialect(client).read_error(error.status, orjson.dumps(body))
    assert (again.status, again.message) == (error.status, error.message)


@every_client
@pytest.mark.parametrize("opened", [0, 1, 2, 3])
@every_refusal
def test_an_error_within_a_stream_ends_it(refusal: Refusal, opened: int, client: Api) -> None:
    error = refusal.read()
    begun: list[Event] = [Start("x", "m"), BlockStart(Text("")), Delta("Hello")]
    events = read(client, parse(written(client, [*begun[:opened], Failed(error)])))
    assert well_formed(events)
    with pytest.raises(GatewayError) as caught:
        fold(events)
    assert error.message in caught.value.message


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("body", [b"", b"no", b"[]", b"{}", b"null", b'"x"', b"\xff\xfe", b"[[[", b'{"error":' * 2000])
@pytest.mark.parametrize("status", [400, 401, 418, 429, 500, 503, 529])
def test_nothing_that_comes_as_an_error_surprises(api: Api, body: bytes, status: int) -> None:
    error = dialect(api).read_error(status, body)
    assert error.status == status
    assert error.message


@pytest.mark.parametrize("api", APIS)
def test_a_key_that_a_provider_repeats_is_struck_out(api: Api) -> None:
    body = orjson.dumps({"error": {"message": f"Incorrect API key provided: {SECRET}", "code": 401, "status": SECRET}})
    error = dialect(api).read_error(401, body).without(SECRET)
    assert SECRET not in orjson.dumps(dialect("messages").write_error(error, "0" * 32)).decode()
