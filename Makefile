# `make demo` and `make test` do all the set-up: Python 3.11+ and make are enough.
# On your own machine pip may fetch a CUDA build of torch (gigabytes). For the small CPU build:
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
PYTHON ?= python3
TORCH_INDEX ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q install -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: demo test test-whole docs lint format clean

demo: .venv/installed
	@echo "1. the experiment as it was published (about half a minute)"
	$(BIN)/assay run adam gns-adam --protocol published --out demo-runs/published
	@echo "2. the honest answer to the same question, with controls (a few minutes)"
	$(BIN)/assay run adam gns-adam --controls --out demo-runs/honest

test: .venv/dev
	$(BIN)/python -m pytest -n auto

docs: .venv/docs
	$(BIN)/python docs/site/gather.py build/docs
	$(BIN)/sphinx-build -W --keep-going -q -c docs/site build/docs build/site
	@echo "build/site/index.html"

test-whole: .venv/dev
	$(BIN)/python -m pytest -n auto -m ""

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "assay needs Python 3.11 or newer; name one, as in: make PYTHON=python3.12 demo" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	@echo "setting up .venv (a minute or two) ..."
	$(PIP) hatchling editables
	$(PIP) --no-build-isolation -e .
	@touch $@

.venv/dev: .venv/installed
	$(PIP) --no-build-isolation -e '.[dev]'
	@touch $@

.venv/docs: .venv/installed
	$(PIP) --no-build-isolation -e '.[docs]'
	@touch $@

clean:
	rm -rf .venv demo-runs build dist
