"""rofl.yaml and compose.yaml pass what `oasis rofl build` checks, and tell the gateway nothing that its users couldn't see."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rofl_rules import refusals

from shared.settings import Settings
from shared.version import VERSION

ROOT = Path(__file__).parents[2]
MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "rofl.yaml").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())

BELIEVED = ("SAPPHIRE_RPC_URL", "SAPPHIRE_CHAIN_ID", "EKAI_CONTROL_PLANE_ADDRESS", "KEYS")


def service(compose: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = compose["services"]["gateway"]
    return found


def test_both_files_pass() -> None:
    assert refusals(MANIFEST, COMPOSE) == []


def test_the_manifest_tells_our_version_and_takes_our_compose_file() -> None:
    assert MANIFEST["version"] == VERSION
    assert MANIFEST["artifacts"]["container"]["compose"] == "compose.yaml"
    assert MANIFEST["resources"]["storage"]["kind"] == "disk-persistent"


def test_every_variable_is_a_setting() -> None:
    known = {name.upper() for name in Settings.model_fields}
    assert set(service(COMPOSE)["environment"]) <= known


def test_whom_the_gateway_believes_is_written_out() -> None:
    environment = service(COMPOSE)["environment"]
    assert all(environment[name] and "$" not in environment[name] for name in BELIEVED)
    assert not [name for name in environment if name.endswith(("_UPSTREAM_URL", "_API_KEY"))]
    assert [name for name, value in environment.items() if "$" in value] == ["OPERATOR_TOKEN"]


def test_the_chain_and_the_contract_belong_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in service(COMPOSE)["environment"].items():
        monkeypatch.setenv(name, value.replace("${OPERATOR_TOKEN:-}", ""))
    settings = Settings(host="0.0.0.0")
    assert (settings.key_source, settings.receipts_on) == ("chain", True)
    assert settings.control_plane == Settings(keys="chain", ekai_control_plane_address=None).control_plane
    assert (settings.log_file, settings.operator_token) == (None, None)  # empty is unset, here as everywhere


def test_the_server_has_the_time_to_finish_streams() -> None:
    grace = float(service(COMPOSE)["stop_grace_period"].removesuffix("s"))
    assert grace > Settings(keys="chain").shutdown_grace


def test_the_container_is_root_without_capabilities() -> None:
    assert (service(COMPOSE)["user"], service(COMPOSE)["cap_drop"]) == ("0:0", ["ALL"])
    assert service(COMPOSE)["security_opt"] == ["no-new-privileges"]


Change = Callable[[dict[str, Any], dict[str, Any]], object]

WRONG: dict[str, Change] = {
    "no host": lambda _, one: one.update(image="ekailabs/ekai-gateway@sha256:" + "0" * 64),
    "a host without a dot": lambda _, one: one.update(image="registry/ekai-gateway@sha256:" + "0" * 64),
    "a tag alone": lambda _, one: one.update(image="ghcr.io/ekailabs/ekai-gateway:latest"),
    "another platform": lambda _, one: one.update(platform="linux/arm64"),
    "a bind": lambda _, one: one["volumes"].append("./data:/app/gateway/data"),
    "a volume that nobody declares": lambda _, one: one["volumes"].append("logs:/app/gateway/logs"),
    "a random port": lambda _, one: one["ports"].append("3002"),
    "port 0": lambda _, one: one["ports"].append("0:3002"),
    "an annotation of another port": lambda _, one: one["annotations"].update(
        {"net.oasis.proxy.ports.80.mode": "ignore"}
    ),
    "an unknown mode": lambda _, one: one["annotations"].update({"net.oasis.proxy.ports.3001.mode": "tls"}),
    "a bare address": lambda _, one: one["environment"].update(EKAI_CONTROL_PLANE_ADDRESS=0x1647),
    "a lower-case secret": lambda _, one: one["environment"].update(OPERATOR_TOKEN="${operator_token}"),
    "two lines": lambda _, one: one["environment"].update(CORS_ORIGINS="a\nb"),
    "something to build": lambda _, one: one.update(build="."),
    "the documents' plural": lambda manifest, _: manifest.update(kind="containers"),
    "SGX": lambda manifest, _: manifest.update(tee="sgx"),
    "no version": lambda manifest, _: manifest.update(version="next"),
    "no memory": lambda manifest, _: manifest["resources"].update(memory=8),
    "an unknown disk": lambda manifest, _: manifest["resources"]["storage"].update(kind="disk"),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_the_rules_can_refuse(change: Change) -> None:
    manifest, compose = copy.deepcopy(MANIFEST), copy.deepcopy(COMPOSE)
    change(manifest, service(compose))
    assert len(refusals(manifest, compose)) == 1
