# make run     set up and run the main job        make test    set up and run the tests
# make check   lint, types, import rules          make install set up only
#
# PYTHON  the interpreter to build .venv from: 3.11 or newer
# TORCH   what pip is given for PyTorch; for a CPU-only build on Linux, a fraction of the size:
#         make run TORCH="torch --index-url https://download.pytorch.org/whl/cpu"
# RECIPE  the recipe that `make run` runs

PYTHON ?= python3
TORCH  ?= torch
RECIPE ?= en-python-docs
BIN    := .venv/bin
PIP    := $(BIN)/pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: run test check install format clean

run: .venv/installed
	$(BIN)/mirror run $(RECIPE)

test: .venv/installed-dev
	$(BIN)/python -m pytest

check: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Try: make run PYTHON=python3.11")'
	@echo "Setting up .venv (a few minutes, about 2 GB; once)"
	@$(PYTHON) -m venv .venv
	@$(PIP) $(TORCH)
	@$(PIP) --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	@echo "Adding what the tests need"
	@$(PIP) --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv .mirror
