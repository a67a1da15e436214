"""The gateway's settings: read once from the environment and `.env`, checked, frozen."""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_PRIVATE_KEY = re.compile(r"(?:0x)?[0-9a-fA-F]{64}")
PLACEHOLDER = "your-key-here"
"""What `.env.example` shows where a key belongs; such a value counts as unset."""
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


def _blank_is_unset(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip() in ("", PLACEHOLDER) else value


def _listed(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _are_addresses(values: tuple[str, ...]) -> tuple[str, ...]:
    if not all(_ADDRESS.fullmatch(value) for value in values):
        raise ValueError("wallet addresses (0x and 40 hex digits) are needed, with commas between them")
    return values


Secret = Annotated[SecretStr | None, BeforeValidator(_blank_is_unset)]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
Addresses = Annotated[Words, AfterValidator(_are_addresses)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """Names, defaults and meanings are the contract's; see docs/settings.md."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    host: str = "127.0.0.1"
    port: int = Field(3001, ge=0, le=65535)
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    database_path: str = "data/gateway.db"
    store: Literal["sqlite", "dynamodb"] = "sqlite"
    dynamodb_table: str = "ekai-gateway"
    keys: Literal["env", "chain"] | None = None
    allowed_addresses: Addresses = ()
    auth_token_ttl: int = Field(604_800, gt=0)
    auth_max_message_age: int = Field(300, gt=0)
    sapphire_rpc_url: str = "https://testnet.sapphire.oasis.io"
    sapphire_chain_id: int = 23295
    ekai_control_plane_address: Annotated[str | None, BeforeValidator(_blank_is_unset)] = None
    authorization_ttl: float = Field(0, ge=0, allow_inf_nan=False)
    rofl_socket_path: str = "/run/rofl-appd.sock"
    rofl_private_key: Secret = None
    private_key: Secret = None
    operator_token: Secret = None
    usage_retention_days: int | None = Field(None, gt=0)
    receipts: Literal["on", "off"] | None = None
    upstream_timeout: Seconds = 600
    upstream_connect_timeout: Seconds = 5
    stream_idle_timeout: Seconds = 120
    ping_interval: Seconds = 15
    max_attempts: int = Field(3, ge=1)
    cooldown_seconds: float = Field(30, ge=0, allow_inf_nan=False)
    rate_limit_requests: int | None = Field(None, gt=0)
    rate_limit_tokens: int | None = Field(None, gt=0)
    login_attempts: int = Field(30, ge=0)
    public_usage: Literal["on", "off"] = "on"
    max_body_bytes: int = Field(52_428_800, gt=0)
    shutdown_grace: Seconds = 30
    cors_origins: Words = ("*",)
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(str.lower)] = "info"
    log_file: str | None = None

    @field_validator("private_key")
    @classmethod
    def _a_private_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _PRIVATE_KEY.fullmatch(value.get_secret_value().strip()):
            raise ValueError("a private key is 32 bytes of hex")
        return value

    @property
    def key_source(self) -> Literal["env", "chain"]:
        """`chain` inside ROFL or when a control plane is named, unless KEYS says otherwise."""
        if self.keys is not None:
            return self.keys
        inside = self.inside_rofl or self.ekai_control_plane_address is not None
        return "chain" if inside else "env"

    @property
    def inside_rofl(self) -> bool:
        """True where appd's socket stands."""
        return os.path.exists(self.rofl_socket_path)

    @property
    def receipts_on(self) -> bool:
        """Whether calls are logged on chain."""
        return self.receipts == "on" or (self.receipts is None and self.key_source == "chain")

    @property
    def control_plane(self) -> str:
        """The contract's address: the one named, else the network's known deployment."""
        mainnet = self.sapphire_chain_id == 23294
        known = (
            "0x8212Da9695946dc97B89d2F7D2B47E623CE5d87b" if mainnet else "0x1647A17be7Ad7A01C6657aC05FA10349E7f32268"
        )
        return self.ekai_control_plane_address or known

    @property
    def loopback(self) -> bool:
        """True when only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @model_validator(mode="after")
    def _not_open_to_the_world(self) -> Self:
        public = not self.loopback or "AWS_LAMBDA_FUNCTION_NAME" in os.environ
        if self.key_source == "env" and public and not self.allowed_addresses:
            raise ValueError(
                f"HOST={self.host} would serve your provider keys to anybody who can reach it: set ALLOWED_ADDRESSES to the "
                "wallet addresses that may log in (comma-separated), or keep HOST=127.0.0.1"
            )
        return self


def environment() -> dict[str, str]:
    """The variables of `.env` and, over them, of the process; without those that are blank or hold the placeholder."""
    from dotenv import dotenv_values  # only where a file can be there

    found = {**dotenv_values(".env"), **os.environ}
    return {name: value.strip() for name, value in found.items() if value and value.strip() not in ("", PLACEHOLDER)}


def problems(error: ValidationError) -> str:
    """What is wrong with the settings, a line each, by the names of the variables and without their values."""
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        name = ".".join(str(part) for part in problem["loc"]).upper()
        message = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{name}: {message}" if name else message)
    return "\n".join(lines)
