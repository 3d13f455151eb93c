# One command for each thing a person wants. Everything lives in .venv, made from the hashed lock; nothing else is touched.
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
.DEFAULT_GOAL := help
.PHONY: help run test check openapi bench mutation audit lock clean

help: ## Show this
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS='	' read -r name text; do printf 'make %-9s %s\n' "$$name" "$$text"; done

run: $(STAMP) ## Start everything, play the demo, stay up at the address it prints
	@SEKISU_DATA_DIR="$${SEKISU_DATA_DIR:-$(CURDIR)/.sekisu}" exec $(BIN)/sekisu up --demo trello

test: $(STAMP) ## Run every test, or those of ARGS (make test ARGS=tests/engines)
	@$(BIN)/python -m pytest $(ARGS)

check: $(STAMP) ## Format, lint, types, the rules of the house, openapi.yaml and docs/rules.md against the code
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -o addopts='-q --strict-markers' tests/house
	@$(BIN)/sekisu openapi --check
	@$(BIN)/python -m tests.rules --check
	@$(BIN)/python -m tests.faults --check-record

openapi: $(STAMP) ## Write openapi.yaml from the code
	@$(BIN)/sekisu openapi

bench: $(STAMP) ## Measure this machine against the peer
	@$(BIN)/sekisu bench

mutation: $(STAMP) ## Break billing/core in thousands of ways and see the unit tests turn red (an hour)
	@$(BIN)/python -m tests.mutation $(ARGS)

audit: ## Look every locked package up in the database of known faults (needs uv and the network); unknown is a failure
	@command -v uvx >/dev/null || { echo 'make audit needs uv; type: pipx install uv' >&2; exit 1; }
	uvx pip-audit --strict --require-hashes --disable-pip -r requirements.txt

lock: ## Write the hashed locks anew from pyproject.toml (needs uv)
	@command -v uv >/dev/null || { echo 'make lock needs uv; type: pipx install uv' >&2; exit 1; }
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade \
	    pyproject.toml -o requirements.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade \
	    --extra embedded --group test --group lint --group build --group bench --group mutation pyproject.toml \
	    -c requirements.txt -o requirements-dev.txt

clean: ## Remove what was built; the data in .sekisu stays
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(STAMP): requirements-dev.txt pyproject.toml .ci/venv
	@sh .ci/venv $(VENV)
	@touch $@
