# Everything a developer or a user runs by hand. `make train` and `make test` set up what they need.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
RUN_DIR ?= runs/quickstart

.PHONY: setup train test test-all check format lock goldens clean

setup: $(VENV)/.installed

$(VENV)/.installed: requirements.lock setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --requirement requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

# The whole of MM1.5 in small: three stages, held-out scores, a report page.
train: setup
	$(BIN)/mm15 train mm15_nano_sft --chain --report --run_dir $(RUN_DIR)

test: setup
	$(BIN)/python -m pytest

test-all: setup
	$(BIN)/python -m pytest -m "" --hypothesis-profile explore

# What pre-commit runs, and the fast tests.
check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/config tests/inputs tests/docs

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Renews requirements.lock, and docker/gpu.lock with it, from setup.py.
lock: setup
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --no-header --no-annotate \
	  --extra test --extra dev --extra hf --extra open --extra tpu setup.py --output-file requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --no-header --no-annotate \
	  --constraint requirements.lock --extra gpu --extra gcs setup.py --output-file docker/gpu.lock

# Renews the golden texts of configs, initialisation, optimizer decisions and launches.
goldens: setup
	JAX_PLATFORMS=cpu $(BIN)/python -m tests.goldens.renew

clean:
	rm -rf runs datasets
