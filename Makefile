# Two commands for a newcomer: `make demo` and `make test`. Each sets up .venv first; nothing else needs to be done.

PYTHON ?= python3
# Which torch build: a version, and an index searched beside your usual ones. The CPU build serves a laptop; for CUDA say
# e.g. TORCH_INDEX=https://download.pytorch.org/whl/cu130. An index that cannot be reached is passed over.
TORCH ?= torch==2.13.0
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
CORES ?= 2
GPUS ?= $(shell nvidia-smi -L 2>/dev/null | grep -c '^GPU')

BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake --profile config/profiles/local --cores $(CORES) --resources gpu=$(GPUS)

.PHONY: help setup demo test test-all bench lint format docs resources clean
.DEFAULT_GOAL := help

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/ready ## set up the virtual environment .venv

.venv/ready: constraints.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: install Python 3.11 to 3.13, or say make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "$(PYTHON) is $$($(PYTHON) --version): Python 3.11 to 3.13 is needed, say make PYTHON=python3.13"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-deps --retries 1 --extra-index-url $(TORCH_INDEX) '$(TORCH)'
	$(BIN)/python -m pip install --quiet --requirement constraints.txt
	@touch $@

demo: setup ## run the demo study; its report is results/studies/demo/report.html
	$(SNAKEMAKE)
	@echo "Open results/studies/demo/report.html"

test: setup ## all tests but the slow ones
	$(BIN)/python -m pytest -n $(CORES) --dist loadgroup -m "not slow and not gpu"

test-all: setup ## all tests
	$(BIN)/python -m pytest -n $(CORES) --dist loadgroup

bench: setup ## benchmarks; prints the tables of tests/benchmarks/RESULTS.md
	@for file in tests/benchmarks/bench_*.py; do PYTHONPATH=workflow/src $(BIN)/python $$file || exit 1; done

lint: setup ## style of rules, code and words
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/snakemake --lint

format: setup ## rewrite rules and code in the house style
	$(BIN)/snakefmt Snakefile workflow/rules
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup ## make config/README.md and envs/*.yaml anew from the schema and constraints.txt
	$(BIN)/python envs/generate.py
	$(BIN)/python config/generate.py

resources: setup ## what the jobs of results/logs asked for, and what they used
	@PYTHONPATH=workflow/src $(BIN)/python -m hedgerow.usage results/logs

clean: ## delete all results (raw data outside results/ stay)
	rm -rf results/* .snakemake
