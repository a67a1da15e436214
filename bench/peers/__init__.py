"""Other gateways, from their packages and with their documented fast settings; `install.sh` beside this puts them under build/bench."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from bench.processes import BUILD, StartError, command, cores, free_port, wait_for
from bench.targets import NATIVE, Target
from shared.dialects import Api

_MODULES = BUILD / "npm" / "node_modules"
_KEY = "sk-bench"
_SECONDS = 120


@contextmanager
def portkey(provider: int, folder: Path) -> Iterator[Target]:
    """No tokens, no database; which provider, and where it is, stands in the request's headers.

    https://portkey.ai/docs/product/ai-gateway/universal-api
    """
    program = _program(_MODULES / "@portkey-ai" / "gateway" / "build" / "start-server.js")
    port, root = free_port(), f"http://127.0.0.1:{provider}/v1"
    words = [_node(), str(program), f"--port={port}", "--headless"]
    bearer = {"authorization": f"Bearer {_KEY}", "x-portkey-custom-host": root}
    headers_for: dict[Api, dict[str, str]] = {
        "chat_completions": {"x-portkey-provider": "openai"},
        "responses": {"x-portkey-provider": "openai"},
        "messages": {"x-portkey-provider": "anthropic"},
    }
    models: dict[tuple[Api, Api], str] = {**NATIVE, ("chat_completions", "messages"): "claude-haiku-4-5"}
    with command(words, where=cores()[:1], folder=folder, environment={"NODE_ENV": "production"}) as running:
        wait_for(f"http://127.0.0.1:{port}/", running, _SECONDS)
        yield Target("Portkey", port, models, running.pid, bearer, headers_for, _version(program))


@contextmanager
def router(provider: int, folder: Path) -> Iterator[Target]:
    """claude-code-router: one key for all, no database, logs off.

    https://github.com/musistudio/claude-code-router
    """
    program = _program(_MODULES / "@musistudio" / "claude-code-router" / "dist" / "cli.js")
    port, home = free_port(), folder / ".claude-code-router"
    home.mkdir()
    url = f"http://127.0.0.1:{provider}/v1/chat/completions"
    settings = {
        "APIKEY": _KEY, "HOST": "127.0.0.1", "PORT": port, "LOG": False, "NON_INTERACTIVE_MODE": True,
        "Providers": [{"name": "fake", "api_base_url": url, "api_key": _KEY, "models": ["gpt-4o"]}],
        "Router": {"default": "fake,gpt-4o"},
    }  # fmt: skip
    (home / "config.json").write_bytes(orjson.dumps(settings))
    bearer = {"authorization": f"Bearer {_KEY}"}
    models: dict[tuple[Api, Api], str] = {("messages", "chat_completions"): "fake,gpt-4o"}
    words = [_node(), str(program), "start"]
    with command(
        words, where=cores()[:1], folder=folder, environment={"HOME": str(folder), "NODE_ENV": "production"}
    ) as running:
        wait_for(f"http://127.0.0.1:{port}/health", running, _SECONDS)
        yield Target("claude-code-router", port, models, running.pid, bearer, version=_version(program))


@contextmanager
def litellm(provider: int, folder: Path) -> Iterator[Target]:
    """The proxy with a master key, no database, one worker.

    https://docs.litellm.ai/docs/proxy/prod, https://docs.litellm.ai/docs/proxy/cli
    """
    program = _program(BUILD / "litellm" / "bin" / "litellm")
    port, root, file = free_port(), f"http://127.0.0.1:{provider}", folder / "config.json"
    offers = {
        "gpt-4o": {"model": "openai/gpt-4o", "api_base": f"{root}/v1", "api_key": _KEY},
        "claude-haiku-4-5": {"model": "anthropic/claude-haiku-4-5", "api_base": root, "api_key": _KEY},
        "gemini-2.5-flash": {"model": "gemini/gemini-2.5-flash", "api_base": root, "api_key": _KEY},
    }
    settings = {
        "model_list": [{"model_name": name, "litellm_params": offer} for name, offer in offers.items()],
        "general_settings": {"master_key": _KEY},
        "litellm_settings": {"set_verbose": False, "use_chat_completions_url_for_anthropic_messages": True},
    }
    file.write_bytes(orjson.dumps(settings))  # JSON is YAML
    quiet = {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    models: dict[tuple[Api, Api], str] = {
        **NATIVE,
        ("messages", "chat_completions"): "gpt-4o",
        ("chat_completions", "messages"): "claude-haiku-4-5",
        ("responses", "messages"): "claude-haiku-4-5",
        ("chat_completions", "gemini"): "gemini-2.5-flash",
        ("messages", "gemini"): "gemini-2.5-flash",
        ("responses", "gemini"): "gemini-2.5-flash",
    }
    words = [str(program), "--config", str(file), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    words += ["--run_granian"] if (BUILD / "litellm" / "bin" / "granian").exists() else []
    with command(words, where=cores()[:1], folder=folder, log=folder / "litellm.log", environment=quiet) as running:
        headers = {"authorization": f"Bearer {_KEY}"}
        wait_for(f"http://127.0.0.1:{port}/health/liveliness", running, _SECONDS, headers)
        [found] = (BUILD / "litellm").glob("lib/python*/site-packages/litellm-*.dist-info")
        version = found.name.removeprefix("litellm-").removesuffix(".dist-info")
        yield Target("LiteLLM", port, models, running.pid, headers, version=version)


def _program(file: Path) -> Path:
    if not file.exists():
        raise StartError("it isn't installed (bench/peers/install.sh)")
    return file


def _version(program: Path) -> str:
    return str(orjson.loads((program.parents[1] / "package.json").read_bytes())["version"])


def _node() -> str:
    if (node := shutil.which("node")) is None:
        raise StartError("Node.js isn't installed")
    return node
