# make demo is the main job; make test is what continuous integration runs. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# PYTHON: the interpreter that makes the environments. PIP_FLAGS: for instance an index with a CPU build of torch,
#   make demo PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PYTHON ?= $(shell for p in python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP_FLAGS ?=
WORKERS ?= 2
BIN := .venv/bin

# Data sets beside the checkout are used unless FAIRWAY_DATA says otherwise.
ifeq ($(FAIRWAY_DATA),)
ifneq ($(wildcard ../shared/data/.),)
export FAIRWAY_DATA := $(abspath ../shared/data)
endif
endif

.PHONY: help demo test test-slow lint reproduce bench docs clean

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: .venv/.stamp  ## seven models, one of each family, on handwritten digits: a table, a report, pictures
	$(BIN)/fairway compare digits --models gmm,made,vae,real_nvp,wgan_gp,ebm,flow_matching \
		--budget 30s --seed 0 --out runs/demo
	@echo
	@echo "The report:   $(CURDIR)/runs/demo/report.html (one file; open it in a browser, no network needed)"
	@echo "The pictures:"; find "$(CURDIR)/runs/demo" -name '*.png' | sort | sed 's/^/  /'

# One torch thread per worker: two workers on two cores must not fight over them.
test: lint  ## lint, types, layers, then every quick test and every example in the docs
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/pytest -q -m "not slow" -n $(WORKERS) --durations=10 tests
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/pytest -q --timeout 600 README.md $(wildcard docs) src

test-slow: .venv/.stamp  ## the tests that take minutes
	$(BIN)/pytest -q -m slow --timeout 1800

lint: .venv/.stamp  ## ruff, mypy, import layers, and the shape of the tree
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check_tree.py
	$(BIN)/python tools/tables.py --check

reproduce: .venv/.stamp  ## the published numbers: every benchmarks/reproduce*.py
	@scripts=$$(find benchmarks -name 'reproduce*.py' 2>/dev/null | sort); \
	if [[ -z "$$scripts" ]]; then echo "no benchmarks/reproduce*.py yet"; fi; \
	for s in $$scripts; do echo "== $$s"; $(BIN)/python "$$s"; done

bench: .venv-bench/.stamp  ## every other script in benchmarks/, against its peer, in .venv-bench
	@scripts=$$(find benchmarks -name '*.py' ! -name 'reproduce*' ! -name '_*' 2>/dev/null | sort); \
	if [[ -z "$$scripts" ]]; then echo "no benchmarks yet"; fi; \
	for s in $$scripts; do echo "== $$s"; .venv-bench/bin/python "$$s"; done

docs: .venv/.stamp  ## the documentation as a web site in site/
	$(BIN)/pip install -q $(PIP_FLAGS) -c constraints.txt -e ".[docs]"
	$(BIN)/mkdocs build --strict

clean:  ## everything that make and the tools write, except runs/
	rm -rf .venv .venv-bench site dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment is made once, and brought up to date whenever the dependencies or their pins change.
.venv/.stamp: EXTRAS := dev,data,report
.venv-bench/.stamp: EXTRAS := bench
.venv/.stamp .venv-bench/.stamp: pyproject.toml constraints.txt
	@if [[ -z "$(PYTHON)" ]]; then \
		echo "fairway needs Python 3.11 or newer, and neither python3.11 nor python3 is one: install it, or say" >&2; \
		echo "  make PYTHON=/path/to/python3.11 ..." >&2; exit 1; fi
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install -q --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e ".[$(EXTRAS)]"
	@touch $@
