# `make demo` and `make test` work on a fresh clone: each makes the environment it needs first.
PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
# One thread a test process: two processes that both want all cores slow each other down.
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest -n 2

.PHONY: help demo test test-all lint env bench loopback clean
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/ready  ## the main job: a lottery on the built-in corpus, offline, in about four minutes
	$(PY) run.py
	@printf '%s\n' '' 'What to type next:' \
		'  source $(VENV)/bin/activate' \
		'  python -m lth inspect ticket=demo              # what the tickets keep' \
		'  python run.py strategy=layerwise name=layers   # another way to prune' \
		'  python analyze.py                              # compare the two' \
		'  python -m lth                                  # the other commands'

test: lint  ## lint and the whole suite but its slow checks
	$(PYTEST)

test-all: lint  ## the slow checks too
	$(PYTEST) -m "slow or not slow"

lint: $(VENV)/ready-dev  ## style, the direction of imports, types; what pre-commit runs too
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports --no-logo
	$(VENV)/bin/basedpyright --pythonpath $(PY)

bench: $(VENV)/ready  ## every benchmark, one JSON document each
	@for module in training prune store tracking analysis anatomy scan streaming manifest; do $(PY) -m benchmarks.$$module || exit 1; done

loopback: $(VENV)/ready-dev  ## the tests' double of the W&B backend, by hand
	$(PY) -m tests.loopback_wandb

env: $(VENV)/ready-dev  ## only the environment, with the tools for lint and tests

$(VENV)/ready: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/ready-dev: requirements-dev.txt $(VENV)/ready
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

clean:  ## the environment; outputs/ stays
	rm -rf $(VENV)
