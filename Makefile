# Each target does its own set-up: on a fresh machine, `make lab` or `make test` is all you type.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?= runs
DATA   ?= auto

.DEFAULT_GOAL := help

.PHONY: help
help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "caelab needs Python 3.11 or newer: make PYTHON=python3.12 …"; exit 2; }
	@echo "Installing caelab and the packages that it needs into $(VENV): this takes some minutes."
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) .
	@touch $@

# What the checks, the tests and the documentation need besides.
$(VENV)/.dev-installed: $(VENV)/.installed
	$(INSTALL) '.[app,dev,docs,formats,onnx,parquet,search,sklearn,cluster,browser]'
	@touch $@

.PHONY: lab
lab: $(VENV)/.installed ## Run the three exercises and write their report (BUDGET=quick|standard|full DATA=… OUT=…)
	$(BIN)/caelab lab --data $(DATA) $(if $(BUDGET),--budget $(BUDGET)) --runs $(OUT) --out $(OUT)/lab

.PHONY: check
check: $(VENV)/.dev-installed ## Check style, spelling, types and import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell
	$(BIN)/lint-imports
	$(BIN)/mypy

.PHONY: test
test: check ## Run all checks and all tests
	$(BIN)/pytest --numprocesses 2 --dist worksteal

.PHONY: test-fast
test-fast: check ## Run all checks and the tests that take less than ten seconds each
	$(BIN)/pytest --numprocesses 2 --dist worksteal -m "not slow"

ATTACK_SECONDS ?= 28800

.PHONY: attack
attack: $(VENV)/.dev-installed ## Kill commands, fill disks and damage files (ATTACK_SECONDS=28800 SEED=0, a night)
	CAELAB_ATTACK_SECONDS=$(ATTACK_SECONDS) CAELAB_ATTACK_SEED=$(or $(SEED),0) CAELAB_ATTACK_REPORT=attacks.json CAELAB_TEST_KILLS=100 \
	  $(BIN)/pytest tests/attacks tests/lab/test_killed.py

$(VENV)/.bench-installed: $(VENV)/.dev-installed
	$(INSTALL) '.[bench]'
	@touch $@

.PHONY: bench
bench: $(VENV)/.bench-installed ## Measure speed against other libraries (an hour and a half on two cores)
	$(BIN)/python -m benchmarks

.PHONY: docs
docs: $(VENV)/.dev-installed ## Build the documentation into site/; any warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.PHONY: docs-serve
docs-serve: $(VENV)/.dev-installed ## Show the documentation at http://localhost:8000 while you write it
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

.PHONY: constraints
constraints: $(VENV)/.dev-installed ## Write the newest versions that fit together into constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@head=$$(grep '^#' constraints.txt); { echo "$$head"; $(BIN)/uv pip compile --quiet --all-extras --universal \
	  --python-version 3.11 --no-annotate --no-header pyproject.toml | grep -Ev '^(nvidia|cuda|triton)'; } > constraints.new
	mv constraints.new constraints.txt

.PHONY: weights
weights: $(VENV)/.dev-installed ## Train the shipped models again from their cards (hours; CAELAB_DATA: path of CIFAR-10)
	@set -e; for card in $(wildcard src/caelab/weights/*.json); do name=$$(basename $$card .json); \
	  $(BIN)/caelab train --config $$card --out $(OUT)/weights/$$name; \
	  $(BIN)/caelab models --add $(OUT)/weights/$$name $$name --force; done

.PHONY: format
format: $(VENV)/.dev-installed ## Format the code and fix what can be fixed automatically
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: clean
clean: ## Remove the environment and caches, but no runs
	rm -rf $(VENV) site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
