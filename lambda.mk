# AWS Lambda: docs/serverless.md. `sam build` asks for build-<Function>; all of them get the one artefact.
LAMBDA_PYTHON ?= $(shell for it in python3.13 $(HOME)/.pyenv/versions/3.13.*/bin/python3.13; do $$it -c '' 2>/dev/null && echo $$it && break; done)
LAMBDA_PLATFORM ?= aarch64-manylinux_2_28
LAMBDA := build/lambda
LAMBDA_SOURCES := $(shell find catalog functions serverless shared -type f -not -name '*.pyc')
ARTEFACT := $(BIN)/python scripts/lambda_artefact.py
SAM := SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=eu-central-1 $(LAMBDA)/sam/bin/sam

.PHONY: lambda-check lambda-local lambda-lock

build-%Function: $(LAMBDA)/artefact
	cp -al $(LAMBDA)/artefact/. "$(ARTIFACTS_DIR)"

# What goes to AWS: arm64, compiled by the Python of the functions.
$(LAMBDA)/artefact: requirements-lambda.lock scripts/lambda_artefact.py $(LAMBDA_SOURCES) | .venv/development
	$(ARTEFACT) --platform $(LAMBDA_PLATFORM) --python "$(LAMBDA_PYTHON)" --expect 3.13 --out $@
	@touch $@

# The same for this machine and its Python, so that it can be run here.
$(LAMBDA)/local: requirements-lambda.lock scripts/lambda_artefact.py $(LAMBDA_SOURCES) | .venv/development
	$(ARTEFACT) --platform $$(uname -m)-manylinux_2_28 --python $$($(BIN)/python -c 'import sys; print(sys._base_executable)') --out $@
	@touch $@

# aws-sam-cli pins much of what it uses: it lives apart from the project.
$(LAMBDA)/sam: scripts/lambda_tools.txt
	$(PYTHON) -m venv --clear $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check -r scripts/lambda_tools.txt
	@touch $@

$(LAMBDA)/runtime: | .venv/development
	$(BIN)/uv pip install --quiet --target $@ --only-binary :all: --no-build 'awslambdaric>=4.2,<5'

lambda-check: $(LAMBDA)/sam $(LAMBDA)/local $(LAMBDA)/artefact
	$(SAM) validate --lint --template template.yaml
	$(BIN)/cfn-lint template.yaml
	$(LAMBDA)/sam/bin/python scripts/lambda_translate.py template.yaml > $(LAMBDA)/translated.json
	$(BIN)/cfn-lint $(LAMBDA)/translated.json
	$(SAM) build
	LAMBDA_CHECK=$(LAMBDA) $(BIN)/pytest tests/serverless

lambda-local: $(LAMBDA)/sam $(LAMBDA)/local $(LAMBDA)/runtime
	$(BIN)/python -m scripts.lambda_local --artefact $(LAMBDA)/local --sam $(LAMBDA)/sam --runtime $(LAMBDA)/runtime

# web3 is a requirement of oasis-sapphire-py, of which the functions use the cipher alone.
lambda-lock: .venv/development
	printf "web3 ; python_version < '3'\n" | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group pyproject.toml:lambda --overrides /dev/stdin --constraint requirements-dev.lock --output-file requirements-lambda.lock
