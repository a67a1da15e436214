"""The form of the catalog's YAML files, checked to the last key. https://docs.pydantic.dev/latest/concepts/models/

The loader itself reads the files leanly (`catalog.load`); this full check runs in the tests and before a reload.
Money here is US dollars per million tokens; `web_search` is dollars per thousand calls.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model

from shared.canonical import Flags, Modality
from shared.dialects import Api

Quirk = Literal[
    # chat completions
    "tool_call_index_missing", "finish_reason_stop_on_tool_calls", "reasoning_outside_completion_tokens",
    "thought_signature_extra_content", "error_body_may_be_array", "reasoning_field", "reasoning_content_required",
    "x_groq_usage", "usage_cost", "usage_cost_ticks", "error_in_200", "no_max_completion_tokens", "no_developer_role",
    "no_stop", "no_penalties", "no_logprobs", "no_logit_bias", "no_message_name", "no_strict", "no_n",
    "schema_required_list", "no_null_fields", "keeps_cache_control", "pdf_url_in_file_data", "custom_tools", "no_store",
    "no_metadata", "no_parallel_flag", "no_stream_options",
    # chat completions and responses
    "require_parameters",
    # messages
    "no_output_format", "no_effort", "no_hosted_tools", "no_cache_key", "no_deferred_tools", "unsigned_thinking",
    # responses
    "stateless_responses", "no_service_tier", "no_instructions_with_previous", "no_custom_tools", "no_namespace_tools",
    "no_tool_search", "no_encrypted_content",
]  # fmt: skip
QUIRKS: frozenset[str] = frozenset(get_args(Quirk))


class Row(BaseModel):
    """Every row: no key that isn't known, no value of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\S+$")]
Dollars = Annotated[float, Field(ge=0, le=10_000, strict=False)]
Tokens = Annotated[int, Field(gt=0)]

_flags: dict[str, Any] = {
    name: (list[get_args(hint)[0]] if name == "effort" else hint, None)  # type: ignore[misc]  # computed at run time
    for name, hint in get_type_hints(Flags).items()
}
FlagsRow: type[Row] = create_model("FlagsRow", __base__=Row, **_flags)


class AuthRow(Row):
    header: Name
    scheme: str = ""


class EndpointRow(Row):
    path: Annotated[str, Field(pattern=r"^/\S+$")]
    query: str = ""
    count: Annotated[str, Field(pattern=r"^(/\S+)?$")] = ""
    auth: AuthRow | None = None
    quirks: list[Quirk] = []


class ProviderRow(Row):
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*$")]
    title: str
    vendor_of: list[Name] = []
    env: list[Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]] = []
    root: Annotated[str, Field(pattern=r"^https?://[^\s/]+(/[^\s/]+)*$")]
    auth: AuthRow | None = None
    headers: dict[str, str] = {}
    forward_headers: list[Name] = []
    free: bool = False
    surcharge_ppm: Annotated[int, Field(ge=0, lt=1_000_000)] = 0
    base_url_env: str = ""
    no_key: bool = False
    dynamic: bool = False
    body_defaults: dict[str, Any] = {}
    endpoints: Annotated[dict[Api, EndpointRow], Field(min_length=1)]


class PartRow(Row):
    """Rates that differ from those of the entry around them."""

    input: Dollars | None = None
    output: Dollars | None = None
    cache_read: Dollars | None = None
    cache_write_5m: Dollars | None = None
    cache_write_1h: Dollars | None = None
    audio_input: Dollars | None = None
    audio_output: Dollars | None = None
    web_search: Dollars | None = None


class RatesRow(PartRow):
    input: Dollars
    output: Dollars


class TierRow(Row):
    over: Tokens
    rates: PartRow
    service_tiers: dict[str, PartRow] = {}


class WindowRow(Row):
    start: Annotated[int, Field(ge=0, lt=1440)]
    end: Annotated[int, Field(ge=0, lt=1440)]
    rates: PartRow


class PriceRow(Row):
    since: date
    source: Annotated[str, Field(min_length=3)]
    rates: RatesRow
    tiers: list[TierRow] = []
    windows: list[WindowRow] = []
    service_tiers: dict[str, PartRow] = {}


class LimitsRow(Row):
    context: Tokens | None = None
    output: Tokens | None = None


class OfferRow(Row):
    provider: Name
    id: Name
    apis: list[Api] | None = None
    limits: LimitsRow | None = None
    flags: FlagsRow | None = None
    input: list[Modality] | None = None
    output: list[Modality] | None = None
    quirks: list[Quirk] = []
    prices: list[PriceRow] = []


class ModelRow(Row):
    id: Name
    name: str
    vendor: Name
    aliases: list[Name] = []
    limits: LimitsRow = LimitsRow()
    input: Annotated[list[Modality], Field(min_length=1)]
    output: Annotated[list[Modality], Field(min_length=1)] = ["text"]
    flags: FlagsRow = FlagsRow()
    released: date | None = None
    retires: date | None = None
    successor: Name | None = None
    offers: Annotated[list[OfferRow], Field(min_length=1)]


PROVIDER: TypeAdapter[ProviderRow] = TypeAdapter(ProviderRow)
MODELS: TypeAdapter[list[ModelRow]] = TypeAdapter(list[ModelRow])
