# Two commands for a newcomer: `make demo` and `make test`. Each sets up .venv first; nothing else needs to be done.

PYTHON ?= python3
# The site's CUDA family for environments and images: 12, 13, or nothing for the CPU builds that serve a laptop. What was
# said last to `make setup` is kept. The index of torch (envs/*.txt) is searched beside your usual ones; one that cannot
# be reached is passed over.
CUDA ?= $(shell cat .venv/cuda 2>/dev/null)
CORES ?= 2
GPUS ?= $(shell nvidia-smi -L 2>/dev/null | grep -c '^GPU')

BIN := .venv/bin
READY := .venv/ready$(CUDA)
# environments and images for any CUDA family can be described from any .venv
ANY := $(or $(wildcard .venv/ready*),$(READY))
TORCH := envs/$(if $(CUDA),cuda$(CUDA),cpu).txt
NO_ANNEX := PyPI has no git-annex for this machine: to fetch from OpenNeuro or NEMAR, install it (apt-get install git-annex, or conda-forge); all else works without
SNAKEMAKE := $(BIN)/snakemake --profile config/profiles/local --cores $(CORES) --resources gpu=$(GPUS)

.PHONY: help setup demo test test-all cluster-test cluster-smoke container-test bench lint format docs envs images resources clean
.DEFAULT_GOAL := help

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## set up the virtual environment .venv (CUDA=13: with torch and CuPy for CUDA 13)

$(READY): constraints.txt pyproject.toml envs/fetch.txt
	@test -f $(TORCH) || { echo "CUDA=$(CUDA) is no CUDA family known here: say CUDA=12, CUDA=13, or CUDA= for the CPU"; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: install Python 3.11 to 3.13, or say make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "$(PYTHON) is $$($(PYTHON) --version): Python 3.11 to 3.13 is needed, say make PYTHON=python3.13"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(if $(wildcard $@),,--clear) .venv
	$(BIN)/python -m pip install --quiet $(if $(CUDA),,--no-deps) --retries 1 --constraint constraints.txt --requirement $(TORCH)
	$(BIN)/python -m pip install --quiet --requirement constraints.txt
	@$(BIN)/python -m pip install --quiet --no-deps --retries 1 --requirement envs/fetch.txt 2>/dev/null || echo "$(NO_ANNEX)"
	@echo $(CUDA) >.venv/cuda
	@touch $@

demo: setup ## run the demo study; its report is results/studies/demo/report.html
	$(SNAKEMAKE)
	@echo "Open results/studies/demo/report.html"

# the workers of a test run fill the cores: libraries that bring threads of their own would wait for each other
test test-all container-test: export OMP_NUM_THREADS = 1
test test-all container-test: export OPENBLAS_NUM_THREADS = 1

test: setup ## all tests but the slow ones
	$(BIN)/python -m pytest -n $(CORES) --dist loadgroup -m "not slow and not gpu and not cluster"

test-all: setup ## all tests
	$(BIN)/python -m pytest -n $(CORES) --dist loadgroup -m "not cluster"

cluster-test: setup ## tests on a Slurm of one node, brought up for them (Debian or Ubuntu, root)
	tests/cluster/slurm install
	$(BIN)/python -m pytest tests/cluster

cluster-smoke: setup ## the shortest of them: the smallest study through `snakemake --profile slurm`
	tests/cluster/slurm install
	$(BIN)/python -m pytest tests/cluster/test_slurm.py

container-test: images ## tests in the container images (slow; needs Apptainer)
	$(BIN)/python -m pytest tests/e2e/test_containers.py

bench: setup $(if $(PEERS),build/peers/ready build/peers-grid/ready build/peers-store/ready build/peers-nets/ready) ## benchmarks; prints the tables of tests/benchmarks/RESULTS.md (PEERS=1: with other programs)
	@for file in tests/benchmarks/bench_*.py; do PYTHONPATH=workflow/src $(BIN)/python $$file || exit 1; done

build/peers/ready build/peers-grid/ready build/peers-store/ready build/peers-nets/ready: build/%/ready: tests/benchmarks/%.txt
	$(PYTHON) -m venv --clear build/$*
	@# braindecode would bring torchaudio, and with it torch for CUDA; what else it needs is in the lock
	build/$*/bin/python -m pip install --quiet $(if $(findstring nets,$*),--no-deps) --requirement $<
	@touch $@

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

docs: envs ## make config/README.md and envs/*.yaml anew from the schema and constraints.txt
	$(BIN)/python config/generate.py

envs: $(ANY) ## make envs/*.yaml anew from constraints.txt (CUDA=13: for CUDA 13)
	$(BIN)/python envs/generate.py $(CUDA)

images: $(ANY) ## build the container images that `--sdm apptainer` runs in (FAMILY=signal: that one; CUDA=13; BASE=debootstrap)
	$(BIN)/python containers/build $(if $(CUDA),--cuda $(CUDA)) $(if $(BASE),--base $(BASE)) $(FAMILY)

resources: setup ## what the jobs of results/logs asked for, and what they used
	@PYTHONPATH=workflow/src $(BIN)/python -m hedgerow.usage results/logs

clean: ## delete all results (raw data outside results/ stay)
	rm -rf results/* .snakemake
