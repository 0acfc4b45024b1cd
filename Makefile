# make demo    sets up and runs the main job on 2,000 real photographs
# make test    sets up and runs lint, type check and tests
# make test-torch  sets up torch and runs the tests that need it
# make bench   prints the figures of the README and docs
# make lock    pins every dependency anew

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := .venv-torch
SOURCES := src tests benchmarks examples tools
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test test-torch lint types tests bench lock clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "lookalike needs Python 3.11 or later: make PYTHON=python3.11 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python has no venv module: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Two stamps, one environment: the developers' lock holds everything that the demo's holds, at the same versions.
$(VENV)/demo.stamp: requirements/demo.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/demo.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/demo.stamp

demo: $(VENV)/demo.stamp
	@$(BIN)/python examples/demo.py

test: lint types tests

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: $(VENV)/dev.stamp
	$(BIN)/mypy

tests: $(VENV)/dev.stamp
	$(BIN)/pytest -n 2 --dist loadgroup --cov --cov-report=term

# By uv, which takes seconds where pip takes minutes: torch with its CUDA libraries is large.
$(TORCH)/stamp: requirements/torch.txt pyproject.toml | $(VENV)/dev.stamp
	@test -x $(TORCH)/bin/python || $(PYTHON) -m venv $(TORCH)
	$(BIN)/uv pip install --quiet --python $(TORCH)/bin/python --require-hashes -r requirements/torch.txt
	$(BIN)/uv pip install --quiet --python $(TORCH)/bin/python --no-deps --no-build-isolation -e .
	@touch $@

test-torch: $(TORCH)/stamp
	$(TORCH)/bin/python -m pytest -n 2 tests/torch

$(VENV)/bench.stamp: requirements/bench.txt | $(VENV)/dev.stamp
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/bench.txt
	@touch $@

bench: $(VENV)/bench.stamp
	@$(BIN)/python -m benchmarks

# torch is in a lock of its own, because it is large; hnswlib too, because it is built from source.
COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11
EXTRAS := approximate client demo elasticsearch oracle parquet postgres report serve text
lock: $(VENV)/dev.stamp
	$(COMPILE) $(EXTRAS:%=--extra %) --group dev requirements/build.in pyproject.toml -o requirements/dev.txt
	$(COMPILE) --extra demo -c requirements/dev.txt requirements/build.in pyproject.toml -o requirements/demo.txt
	$(COMPILE) --group bench -c requirements/dev.txt requirements/build.in -o requirements/bench.txt
	$(COMPILE) $(EXTRAS:%=--extra %) --extra torch --group dev -c requirements/dev.txt requirements/build.in pyproject.toml -o requirements/torch.txt

clean:
	rm -rf $(VENV) $(TORCH) demo build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage*
