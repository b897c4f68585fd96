# Gatelodge: the commands of the README. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
PEERS := .tools/peers
LOWEST := .tools/lowest
# Files of tests stay together, in the order that tests/conftest.py puts them in.
SPREAD := -n auto --dist loadfile --no-loadscope-reorder
# Compiled modules are kept: hundreds of commands and servers are started.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest $(SPREAD)

.DEFAULT_GOAL := help
.PHONY: help serve test check format lint types docs docs-serve screenshots bench bench-peers clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

serve: $(READY) ## Start the server on http://localhost:8080
	@$(BIN)/gatelodge serve $(ARGS)

test: $(READY_DEV) ## Run every test, on every core; ARGS="…" goes to pytest
	@scripts/install-test-tools
	@$(PYTEST) $(ARGS)

.PHONY: test-lowest
test-lowest: $(LOWEST)/.ready ## Run most tests with the lowest version of each library (into .tools/lowest)
	@$(LOWEST)/bin/python -m pytest $(SPREAD) \
		tests/test_dependencies.py tests/test_house.py tests/services tests/contracts tests/api tests/pages $(ARGS)

.PHONY: faults
faults: $(READY_DEV) ## Kill, pause and step down the primary of a MongoDB set ten times each, under load (5 minutes)
	@GATELODGE_FAULTS=10 $(BIN)/python -m pytest tests/faults/test_failover.py $(ARGS)

.PHONY: mta
mta: $(READY_DEV) ## Send letters by a real Postfix, as root: apt-get install postfix sasl2-bin libsasl2-modules
	@GATELODGE_MTA=1 $(BIN)/python -m pytest tests/services/test_postfix.py $(ARGS)

.PHONY: build
build: $(READY_DEV) ## Build the package into dist/, and try it in an empty folder
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation --outdir dist
	@$(BIN)/python -m twine check --strict dist/*
	@$(BIN)/python scripts/check_wheel.py dist/*.whl
	@$(BIN)/python scripts/try_wheel.py dist/*.whl

check: format lint types test ## Format, lint, types, tests

format: $(READY_DEV) ## Check the formatting
	@$(BIN)/ruff format --check .

lint: $(READY_DEV) ## Check the code with a linter
	@$(BIN)/ruff check .

types: $(READY_DEV) ## Check types, strictly
	@$(BIN)/mypy

docs: $(READY_DEV) ## Build the documentation as a site, strictly, into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs --quiet build --strict
	@echo "The documentation is in site/. make docs-serve shows it."

docs-serve: $(READY_DEV) ## Show the documentation on http://localhost:8000, and what changes in it
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --strict --dev-addr localhost:8000

screenshots: $(READY_DEV) ## Take the pictures in docs/images/ again
	@scripts/install-test-tools
	@$(BIN)/python -m scripts.take_screenshots

bench: $(READY_DEV) ## Measure everything, and write docs/performance.md (9 minutes)
	@$(BIN)/python -m bench --write docs $(ARGS)

bench-peers: $(READY_DEV) $(PEERS)/.ready ## Measure other projects, installed into .tools/peers
	@$(BIN)/python -m bench --only peers --write docs $(ARGS)

clean: ## Remove the virtual environment and caches (never the data)
	rm -rf $(VENV) site .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Gatelodge needs Python 3.11 or newer (set PYTHON=…)."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv is missing: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(READY): pyproject.toml | $(BIN)/python
	@echo "Installing Gatelodge into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(READY_DEV): pyproject.toml $(READY)
	@echo "Installing what the tests need …"
	@$(BIN)/python -m pip install --quiet --group dev
	@touch $@

$(LOWEST)/.ready: pyproject.toml scripts/lowest_versions.py
	@echo "Installing the lowest versions into $(LOWEST) …"
	@$(PYTHON) -m venv --clear $(LOWEST)
	@$(LOWEST)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	@$(LOWEST)/bin/python scripts/lowest_versions.py > $(LOWEST)/constraints.txt
	@$(LOWEST)/bin/python -m pip install --quiet --constraint $(LOWEST)/constraints.txt --editable . --group test
	@touch $@

$(PEERS)/.ready: bench/peers/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install --quiet -r $<
	@touch $@
