# `make run` and `make test` are all that a newcomer needs; each sets up what it uses.
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := catalog cli contracts emulator functions serverless shared
UV := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group build pyproject.toml

.PHONY: install run test lint types demo lock test-clients soak fuzz audit bench bench-quick

.venv/runtime: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with PYTHON=")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

.venv/development: .venv/runtime requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

install: .venv/runtime

run: install
	@exec $(BIN)/ekai serve

demo: .venv/development
	@exec $(BIN)/ekai demo

lint: .venv/development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/development
	$(BIN)/mypy

test: lint types
	$(BIN)/pytest -n 3 --dist loadfile

test-clients: .venv/development
	npm ci --prefix tests/clients/npm --no-audit --no-fund --loglevel error
	$(BIN)/uv venv --quiet --allow-existing build/clients
	$(BIN)/uv pip sync --quiet --require-hashes --python build/clients/bin/python tests/clients/python/requirements.lock
	TEST_CLIENTS=1 $(BIN)/pytest -n auto tests/clients

# SOAK="--seconds 3600 --workers 2" for an hour with two workers
soak: .venv/development
	$(BIN)/python -m bench.soak $(SOAK)

.venv/fuzz: .venv/development fuzz/requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r fuzz/requirements.lock
	@touch $@

# FUZZ_SECONDS=300 for five minutes each, FUZZ="stream-gemini sse" for two harnesses of all; Linux only
fuzz: .venv/fuzz
	FUZZ_SECONDS=$(or $(FUZZ_SECONDS),20) $(BIN)/python -m fuzz $(FUZZ)

# BENCH="--targets nginx,ekai --rounds 1" for less; the peers are installed under build/bench. See docs/performance.md.
bench: .venv/development
	bench/peers/install.sh
	$(BIN)/python -m bench $(BENCH)

bench-quick: .venv/development
	$(BIN)/python -m bench --quick $(BENCH)

# Asks the package index for known vulnerabilities; one that can't say is a failure too.
audit: .venv/development
	$(BIN)/bandit --quiet --recursive -c pyproject.toml --severity-level medium $(PACKAGES)
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r requirements.lock

lock: .venv/development
	$(UV) $(UPGRADE) --all-extras --group dev --output-file requirements-dev.lock
	$(UV) --constraint requirements-dev.lock --output-file requirements.lock

include lambda.mk
