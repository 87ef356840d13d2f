# Every target works from a bare clone: the virtual environment is made, or brought up to date in place, on the way.
#   make demo PYTHON=python3.12    another interpreter (3.11 or later)
#   make test INDEX=URL            another package index

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
INDEX ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	$(if $(INDEX),--index-url $(INDEX))

.DEFAULT_GOAL := help
# two pip processes in one environment would trip over each other
.NOTPARALLEL:
.PHONY: help demo test test-processors test-slow lint docs bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.core  ## compare five tuned methods on digits-mlp and write one page
	@start=$$(date +%s); \
	$(BIN)/optwise compare digits-mlp --out runs/demo && \
	echo "make demo: $$(( $$(date +%s) - start )) s of wall clock, apart from installing"

# one process for each core, and one thread in each: kernels of small tensors gain nothing from more; tests of one file
# stay together, since some build on those before them
test: $(VENV)/.dev  ## run the tests, the doctests, the examples and the README
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto --dist=loadfile

# other kernels add the same numbers in other orders; what no processor here can follow is said and not run
test-processors: $(VENV)/.dev  ## run the tests three times, with the kernels of older and newer processors
	OMP_NUM_THREADS=1 $(BIN)/python tests/on_other_processors.py --numprocesses=auto --dist=loadfile

test-slow: $(VENV)/.dev test-processors  ## run the tests that take long, and all others with three sets of kernels
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.dev  ## ruff (rules and format) and mypy
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy

docs: $(VENV)/.docs  ## draw the figures and build the pages into docs/_build/html; a warning is an error
	$(BIN)/optwise figures --out docs/_figures
	$(BIN)/python -m sphinx -W --keep-going docs docs/_build/html

bench: $(VENV)/.dev  ## run each script under benchmarks/
	@set -e; for script in $(wildcard benchmarks/*.py); do echo "== $$script"; $(BIN)/python $$script; done

clean:  ## remove caches, built pages and the demo's run; .venv and other runs stay
	rm -rf build dist docs/_build docs/_figures runs/demo .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests docs benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# torch goes first and through the constraints, so that nothing installed later can choose another build of it
$(VENV)/.torch: constraints.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	test -n "$(PYTHON)" || { echo "No Python 3.11 or later on PATH: name one, make PYTHON=/path/to/python3.11" >&2; exit 2; }; \
	"$(PYTHON)" -m venv --clear $(VENV); }
	$(INSTALL) torch
	@touch $@

$(VENV)/.core: EXTRA :=
$(VENV)/.dev: EXTRA := [dev]
$(VENV)/.docs: EXTRA := [docs]
$(VENV)/.core $(VENV)/.dev $(VENV)/.docs: $(VENV)/.torch pyproject.toml constraints.txt
	$(INSTALL) --editable '.$(EXTRA)'
	@touch $@
