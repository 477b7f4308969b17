# make run         set up and run the main job
# make test        set up and run the fast tests, a few minutes
# make test-all    every test, half an hour         make test-slow   those that make test leaves out
# make test-chaos  kills and faults at many moments
# make cases       a table of what users ran into elsewhere, and what is done about it here
# make check       lint, types, import rules        make install     set up only
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

# No test talks to a hub, and two processes share the cores.
PYTEST := HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m pytest
THOROUGH := --hypothesis-profile=thorough

.PHONY: run test test-all test-slow test-chaos cases check install format clean

run: .venv/installed
	$(BIN)/mirror run $(RECIPE)

test: .venv/installed-dev
	$(PYTEST) tests/integration tests/unit -n 2 -m "not slow"

test-all: .venv/installed-dev
	$(PYTEST) tests/integration tests/unit -n 2 -m "not slow" $(THOROUGH)
	$(MAKE) test-slow

# The longest files begin first, as tests/slow/conftest.py sorts them.
test-slow: .venv/installed-dev
	$(PYTEST) tests -n 2 -m "slow and not serial" --no-loadscope-reorder $(THOROUGH)
	$(PYTEST) tests -m serial $(THOROUGH)

test-chaos: .venv/installed-dev
	MIRROR_FAULT_MOMENTS=30 $(PYTEST) tests/slow/chaos/killed_team

cases: .venv/installed-dev
	$(PYTEST) tests -n 2 -m case --case-table

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
