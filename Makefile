# Two commands for a newcomer, each doing all of its own set-up:
#   make demo   install, then reconstruct a small still life
#   make test   install, then run the test suite
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

# Commands begin in two thirds of the time where Python may keep what it compiled; tests start many.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all lint docs release-check clean
demo: $(VENV)/.installed
	$(BIN)/respectra demo --output respectra-demo --overwrite

test: $(VENV)/.installed-dev
	$(BIN)/pytest -n 2 --dist worksteal

# The rest: what takes more than some seconds a test, but not the hours of the exhaustive ones.
test-all: $(VENV)/.installed-dev
	$(BIN)/pytest -n 2 --dist worksteal -m "not exhaustive"

# A hundred thousand damaged files, and more of that sort.
test-exhaustive: $(VENV)/.installed-dev
	$(BIN)/pytest -n 2 --dist worksteal -m exhaustive

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Respectra needs Python 3.11 or newer; say which with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

# Torch first and by exact version: a looser request may bring gigabytes of CUDA along.
$(VENV)/.torch: constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	touch $@

$(VENV)/.installed: pyproject.toml constraints.txt $(VENV)/.torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt $(VENV)/.torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[all,dev,docs]'
	touch $@ $(VENV)/.installed

# The site, offline; a warning is an error.
docs: $(VENV)/.installed-dev
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

# What a release must pass: built, installed outside the checkout, tried there.
release-check: $(VENV)/.installed-dev
	$(BIN)/python scripts/check_release.py --write docs/licences.md

clean:
	rm -rf $(VENV) respectra-demo
