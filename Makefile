# make demo    sets up and runs the main job on 2,000 real photographs
# make test    sets up and runs lint, type check and tests
# make coverage  runs the tests and prints what they leave out
# make fuzz    runs the property tests on examples that were not tried before
# make test-torch  sets up torch and runs the tests that need it
# make test-ray  sets up Ray and runs the tests that need it
# make test-wheel  builds the wheel and runs the program from it, without this folder
# make bench   prints the figures of the README and docs, with smaller collections (15 minutes on 2 cores)
# make bench-keras  sets up TensorFlow and prints how many times Keras's loop, image by image, lookalike is
# make wheel   builds dist/lookalike-….whl, to install anywhere
# make lock    pins every dependency anew

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := .venv-torch
KERAS := .venv-keras
SOURCES := src tests benchmarks examples tools
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Compiled modules are kept whatever the environment says: the tests start the program hundreds of times.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test coverage fuzz test-torch test-ray test-wheel lint types tests bench bench-large bench-keras wheel lock \
	clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

# pip installs one package, uv, whose file is known by its hash. uv installs the rest as the locks have it:
# nothing is resolved (--no-deps), so that nothing that appears in a registry later can change what is installed.
$(BIN)/uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "lookalike needs Python 3.11 or later: make PYTHON=python3.11 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python has no venv module: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/uv.txt
	@touch $@

# A registry that pip is configured for (pip.conf, PIP_INDEX_URL) is the one that uv asks, too.
INDEX = $(shell $(BIN)/python -m pip config get global.index-url 2>/dev/null)
UV = $(if $(PIP_INDEX_URL)$(INDEX),UV_DEFAULT_INDEX="$(or $(PIP_INDEX_URL),$(INDEX))" )$(BIN)/uv
INSTALL = $(UV) pip install --quiet --no-deps
LOCKED = $(INSTALL) --require-hashes
OWN = $(INSTALL) --no-build-isolation --editable .

# Two stamps, one environment: the developers' lock holds everything that the demo's holds, at the same versions.
$(VENV)/demo.stamp: requirements/demo.txt pyproject.toml | $(BIN)/uv
	$(LOCKED) --python $(BIN)/python -r requirements/demo.txt
	$(OWN) --python $(BIN)/python
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt pyproject.toml | $(BIN)/uv
	$(LOCKED) --python $(BIN)/python -r requirements/dev.txt
	$(OWN) --python $(BIN)/python
	@touch $@ $(VENV)/demo.stamp

demo: $(VENV)/demo.stamp
	@$(BIN)/python examples/demo.py

test: lint types tests

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: $(VENV)/dev.stamp
	$(BIN)/mypy

# Two processes have two cores; a third, measured, took longer: 766 s for 747. Threads of a product of matrices
# would wait for one another, and spin meanwhile.
ALONE := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1

tests: $(VENV)/dev.stamp
	$(ALONE) $(BIN)/pytest -n 2 --dist loadgroup

# Measuring takes a fifth more time.
coverage: $(VENV)/dev.stamp
	$(ALONE) $(BIN)/pytest -n 2 --dist loadgroup --cov --cov-report=term

fuzz: $(VENV)/dev.stamp
	$(BIN)/pytest -n 2 -m hypothesis --hypothesis-profile=fuzz

$(TORCH)/stamp: requirements/torch.txt pyproject.toml | $(BIN)/uv
	@test -x $(TORCH)/bin/python || $(PYTHON) -m venv --without-pip $(TORCH)
	$(LOCKED) --python $(TORCH)/bin/python -r requirements/torch.txt
	$(OWN) --python $(TORCH)/bin/python
	@touch $@

test-wheel: $(VENV)/dev.stamp
	$(BIN)/pytest tests/wheel

test-torch: $(TORCH)/stamp
	$(TORCH)/bin/python -m pytest -n 2 tests/torch

# hnswlib has no wheel: it is built, with what the same lock has for it.
$(VENV)/bench.stamp: requirements/bench.txt | $(VENV)/dev.stamp
	$(LOCKED) --python $(BIN)/python --build-constraints requirements/bench.txt -r requirements/bench.txt
	@touch $@

bench: $(VENV)/bench.stamp
	@$(BIN)/python -m benchmarks --short

# A million vectors and five libraries' indexes of them: an hour and more, 6 GB of memory, 6 GB of disk.
bench-large: $(VENV)/bench.stamp
	@$(BIN)/python -m benchmarks large

$(KERAS)/stamp: requirements/keras.txt pyproject.toml | $(BIN)/uv
	@test -x $(KERAS)/bin/python || $(PYTHON) -m venv --without-pip $(KERAS)
	$(LOCKED) --python $(KERAS)/bin/python -r requirements/keras.txt
	$(OWN) --python $(KERAS)/bin/python
	@touch $@

bench-keras: $(KERAS)/stamp
	@$(KERAS)/bin/python -m benchmarks keras

# Ray is large, and its tests take minutes: they are apart from the others.
$(VENV)/ray.stamp: requirements/ray.txt | $(VENV)/dev.stamp
	$(LOCKED) --python $(BIN)/python -r requirements/ray.txt
	@touch $@

test-ray: $(VENV)/ray.stamp
	$(BIN)/pytest tests/ray

wheel: $(VENV)/demo.stamp
	$(UV) build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist
	@ls dist/*.whl

# The other extras' packages are in the developers' lock: torch has one of its own, because it is large; hnswlib too,
# because it is built from source.
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11
EXTRAS := approximate client demo elasticsearch objects oracle parquet postgres report serve text video
lock: | $(BIN)/uv
	$(COMPILE) requirements/uv.in -o requirements/uv.txt
	$(COMPILE) $(EXTRAS:%=--extra %) --group dev requirements/build.in pyproject.toml -o requirements/dev.txt
	$(COMPILE) --extra demo -c requirements/dev.txt requirements/build.in pyproject.toml -o requirements/demo.txt
	$(COMPILE) --group bench -c requirements/dev.txt requirements/build.in -o requirements/bench.txt
	$(COMPILE) --extra ray -c requirements/dev.txt requirements/build.in pyproject.toml -o requirements/ray.txt
	$(COMPILE) $(EXTRAS:%=--extra %) --extra torch --group dev -c requirements/dev.txt requirements/build.in pyproject.toml -o requirements/torch.txt
	$(COMPILE) --extra demo --group keras -c requirements/dev.txt requirements/build.in pyproject.toml -o requirements/keras.txt

clean:
	rm -rf $(VENV) $(TORCH) $(KERAS) demo build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage*
