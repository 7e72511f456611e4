# `make demo` and `make test` do everything from a fresh clone, and may be repeated.

PYTHON ?= python3
PYTEST_OPTIONS ?= --numprocesses auto --dist worksteal
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

# Libraries keep settings and caches below HOME; where nothing can be written there, the virtual environment lends a
# folder.
ifneq ($(shell test -n "$$HOME" && test -d "$$HOME" && test -w "$$HOME" && echo writable),writable)
export HOME := $(CURDIR)/$(VENV)/home
endif

.DEFAULT_GOAL := help
.PHONY: help venv demo test docs lint format types clean

help:  ## Show this list.
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

venv: $(INSTALLED)  ## Make .venv and install the package with its development tools.

$(INSTALLED): pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is %d.%d: make PYTHON=python3.11 ..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	"$(PYTHON)" -m venv $(VENV)
	@mkdir -p "$(HOME)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(INSTALLED)  ## Simulate recordings, train on them, retrieve pictures; everything lands in ./demo.
	$(BIN)/neuroclip demo

test: lint types  ## Lint, check formatting and types, run the tests.
	$(BIN)/python -m pytest $(PYTEST_OPTIONS)

docs: $(INSTALLED)  ## Build the documentation site into ./site; nothing is fetched for it.
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

lint: $(INSTALLED)  ## Lint and check the formatting.
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check

format: $(INSTALLED)  ## Format, and repair what the linter can.
	$(BIN)/python -m ruff check --fix
	$(BIN)/python -m ruff format

types: $(INSTALLED)  ## Check the types.
	$(BIN)/python -m mypy

clean:  ## Remove the virtual environment, the demo's folder, the site and all caches.
	rm -rf $(VENV) demo site build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
