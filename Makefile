# Thin: each target calls one thing. pip's own environment variables are honoured, for example
#   PIP_EXTRA_INDEX_URL=... make demo      for a CPU build of torch on Linux (see README)
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check bench clean

demo: .venv/ready
	$(BIN)/tastespace demo

test: .venv/ready
	$(BIN)/python -m pytest

check: .venv/ready
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/ready
	$(BIN)/python benchmarks/quality.py
	$(BIN)/python benchmarks/speed.py
	for claim in benchmarks/published/*_*.py; do $(BIN)/python $$claim || exit 1; done
	$(BIN)/python benchmarks/roofline.py
	$(BIN)/python benchmarks/peers.py
	$(BIN)/python benchmarks/cold_start.py
	$(BIN)/python benchmarks/prose.py
	$(BIN)/python benchmarks/answers.py

# Made once, and again when the dependencies change; needs no network otherwise.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt "torch==$$(sed -n 's/^torch==//p' constraints.txt)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv models .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
