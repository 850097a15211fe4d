# Everything a newcomer needs; `make help` lists it. The virtual environment lives in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint types imports unit fix bench bench-doors bench-registry bench-idle bench-bulk lock docs clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-14s %s\n", $$1, $$2}'

$(VENV)/runtime.stamp: requirements/runtime.txt pyproject.toml
	@echo "setting up $(VENV) (locked dependencies)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes -r requirements/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/runtime.stamp
	@echo "adding what the checks and tests need"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

setup: $(VENV)/dev.stamp ## make the virtual environment with everything for development

demo: ## watch 25 devices provision themselves by claim over real TLS and MQTT
	@start=$$(date +%s.%N); $(MAKE) --silent --no-print-directory $(VENV)/runtime.stamp && \
	  FLEETGATE_DEMO_SETUP_STARTED=$$start $(BIN)/fleetgate demo

test: $(VENV)/dev.stamp ## run every check and test
	@$(BIN)/python tests/run.py

check: lint types imports ## only the static checks

lint: $(VENV)/dev.stamp ## ruff: rules and format
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(VENV)/dev.stamp ## mypy strict
	@$(BIN)/mypy

imports: $(VENV)/dev.stamp ## the import law
	@$(BIN)/lint-imports

unit: $(VENV)/dev.stamp ## the fast tests
	@$(BIN)/pytest tests/unit -q

fix: $(VENV)/dev.stamp ## let ruff mend what it can
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: bench-doors bench-registry ## measure: the doors beside the physical floor, the registry up to a million things

bench-doors: $(VENV)/dev.stamp ## devices and operators at the doors, beside the physical floor (four minutes)
	@$(BIN)/python -m bench

bench-registry: $(VENV)/dev.stamp ## reads and searches of a registry with up to a million things (minutes; disk: 1.2 GB)
	@$(BIN)/python -m bench.registry

bench-idle: $(VENV)/dev.stamp ## ten thousand idle devices, and all of them coming back at once (a minute)
	@$(BIN)/python -m bench.idle

bench-bulk: $(VENV)/dev.stamp ## a bulk registration of 100,000 lines, killed half-way (five minutes)
	@$(BIN)/python -m bench.bulk

lock: ## resolve the locked dependencies anew (needs uv)
	uv pip compile --universal --generate-hashes --python-version 3.11 --upgrade --no-header -q pyproject.toml --group build -o requirements/runtime.txt
	uv pip compile --universal --generate-hashes --python-version 3.11 --upgrade --no-header -q pyproject.toml --group build --group dev -c requirements/runtime.txt -o requirements/dev.txt

clean: ## remove what the other commands made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.*
