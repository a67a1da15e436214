"""What `oasis rofl build` refuses, and what goes wrong later inside the machine, as rules over the two files.

https://github.com/oasisprotocol/cli/blob/master/cmd/rofl/build/validate.go,
https://github.com/oasisprotocol/cli/blob/master/build/rofl/manifest.go
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_VARIABLE = re.compile(r"\$\{?(\w+)")
_PROXY = re.compile(r"net\.oasis\.proxy\.ports\.(\d+)\.(\w+)")
_MODES = frozenset({"ignore", "passthrough", "terminate-tls"})
_STORAGE = frozenset({"none", "ram", "disk-ephemeral", "disk-persistent"})


def refusals(manifest: dict[str, Any], compose: dict[str, Any]) -> list[str]:
    """What is wrong, a line each; nothing for files that pass."""
    return [*_of_manifest(manifest), *_of_compose(compose)]


def _of_manifest(manifest: dict[str, Any]) -> Iterator[str]:
    if not manifest.get("name"):
        yield "no name"
    if not _VERSION.fullmatch(str(manifest.get("version"))):
        yield "the version isn't three numbers"
    if (manifest.get("tee"), manifest.get("kind")) != ("tdx", "container"):
        yield "containers run in TDX alone, and the kind is called container"
    resources = manifest.get("resources", {})
    if resources.get("memory", 0) < 16 or resources.get("cpus", 0) < 1:
        yield "memory or processors are missing"
    storage = resources.get("storage", {})
    if storage.get("kind") not in _STORAGE or storage.get("size", 0) < 16:
        yield "the storage is of no known kind, or too small"


def _of_compose(compose: dict[str, Any]) -> Iterator[str]:
    services = compose.get("services") or {}
    if not services:
        yield "no services"
    for name, service in services.items():
        yield from (f"{name}: {problem}" for problem in _of_service(service, set(compose.get("volumes") or {})))


def _of_service(service: dict[str, Any], named: set[str]) -> Iterator[str]:
    host, slash, _ = str(service.get("image")).partition("/")
    if not slash or not _HOST.fullmatch(host):
        yield "the image is named without its host"
    if not _DIGEST.search(str(service.get("image"))):
        yield "the image is named without its digest, so what runs isn't what was measured"
    if service.get("platform") != "linux/amd64":
        yield "the platform isn't linux/amd64"
    if "build" in service or "env_file" in service:
        yield "there is nothing to build, and no file to read, inside the machine"
    for volume in service.get("volumes", ()):
        source = volume.partition(":")[0]
        allowed = source in ("/run/rofl-appd.sock", "/run/podman.sock") or source.startswith("/storage/")
        if not allowed and source not in named:
            yield f"the volume {source} lies outside /storage/"
    published = []
    for port in service.get("ports", ()):
        outside, colon, inside = str(port).rpartition(":")
        if not colon or not (outside.isdigit() and inside.isdigit() and 0 < int(outside) < 65536 and int(inside)):
            yield f"the port {port} isn't published under a number of its own"
        published.append(outside)
    for key, value in (service.get("annotations") or {}).items():
        match = _PROXY.fullmatch(key)
        if match and (match[1] not in published or (match[2] == "mode" and value not in _MODES)):
            yield f"the annotation {key} is about an unpublished port, or of an unknown mode"
    yield from _of_environment(service.get("environment") or {})


def _of_environment(environment: dict[str, Any]) -> Iterator[str]:
    for name, value in environment.items():
        if not isinstance(value, str):
            yield f"{name} isn't text, so YAML changes it"
            continue
        if any(not _NAME.fullmatch(variable) for variable in _VARIABLE.findall(value)):
            yield f"{name} asks for a secret by a name that isn't in upper case"
        if "\n" in value:
            yield f"{name} has more than one line"
