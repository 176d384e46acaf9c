# Each target does its own set-up: on a fresh machine, `make lab` or `make test` is all there is to type.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?= runs
DATA   ?= auto

.DEFAULT_GOAL := help

.PHONY: help
help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "caelab needs Python 3.11 or newer: make PYTHON=python3.12 …"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,onnx,search,sklearn]'
	@touch $@

.PHONY: lab
lab: $(VENV)/.installed ## Run the whole lab and write its report (BUDGET=quick|standard|full DATA=… OUT=…)
	$(BIN)/caelab lab --data $(DATA) $(if $(BUDGET),--budget $(BUDGET)) --runs $(OUT) --out $(OUT)/lab

.PHONY: test
test: $(VENV)/.installed ## Check style, types and import rules, and run the tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --numprocesses 2

$(VENV)/.bench-installed: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

.PHONY: bench
bench: $(VENV)/.bench-installed ## Measure speed against other libraries (an hour and a half on two cores)
	$(BIN)/python -m benchmarks

.PHONY: weights
weights: $(VENV)/.installed ## Train the models that ship again, by their cards (hours; CAELAB_DATA says where CIFAR-10 is)
	@set -e; for card in $(wildcard src/caelab/weights/*.json); do name=$$(basename $$card .json); \
	  $(BIN)/caelab train --config $$card --out $(OUT)/weights/$$name; \
	  $(BIN)/caelab models --add $(OUT)/weights/$$name $$name --force; done

.PHONY: format
format: $(VENV)/.installed ## Format the code and mend what can be mended automatically
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: clean
clean: ## Remove the environment and caches; runs stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
