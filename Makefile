# Thin: each target calls one thing. pip's own environment variables are honoured, for example
#   PIP_EXTRA_INDEX_URL=... make demo      for a CPU build of torch on Linux (see README)
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-all check docs bench clean

demo: .venv/ready
	$(BIN)/tastespace demo

# One worker a core, four at most: each trains the models that its tests share.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal
COVERED := --cov --cov-report=

test: .venv/ready
	$(PYTEST) -m "not release"

test-all: .venv/ready
	$(PYTEST) $(COVERED) --hypothesis-profile release

# Tests take a third longer under coverage, so only test-all and check measure it.
# The lines that tests run: from the last `make test-all`, or measured here if the code has changed since.
.coverage: .venv/ready $(shell find src -name '*.py')
	$(PYTEST) $(COVERED) -m "not release"

check: docs .coverage
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/coverage report --fail-under 95

# The site in build/site; warnings and broken links fail.
docs: .venv/ready
	$(BIN)/properdocs build --strict

bench: .venv/ready
	$(BIN)/python benchmarks/quality.py
	$(BIN)/python benchmarks/speed.py
	for claim in benchmarks/published/*_*.py; do $(BIN)/python $$claim || exit 1; done
	$(BIN)/python benchmarks/roofline.py
	$(BIN)/python benchmarks/peers.py
	$(BIN)/python benchmarks/cold_start.py
	$(BIN)/python benchmarks/prose.py
	$(BIN)/python benchmarks/neighbours.py
	$(BIN)/python benchmarks/answers.py
	$(BIN)/python benchmarks/own_implementations.py
	$(BIN)/python benchmarks/ease.py
	$(BIN)/python benchmarks/item_knn.py
	$(BIN)/python benchmarks/defaults.py

# Made once, and again when the dependencies change; needs no network otherwise.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt "torch==$$(sed -n 's/^torch==//p' constraints.txt)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv build models .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
