# Each verb sets up what it needs in $(VENV); only Python 3.11 or newer and make must be there.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Many tests wait for processes and servers: four at a time keep two cores busy.
PARALLEL ?= -n 4 --dist worksteal
# More options of pytest: make test ARGS="-x -k wire".
ARGS ?=

.PHONY: demo test quick soak extras pictures lint format bench lock clean

demo: $(VENV)/.runtime
	$(BIN)/python -m etl demo

test: $(VENV)/.dev extras
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

# What needs no process, no server and no browser: feedback while you work.
quick: lint
	$(BIN)/python -m pytest -n auto --dist worksteal -q -r fE --quick $(ARGS)

# Long torture on both databases: SOAK_SECONDS=28800 for a night, SEED=... repeats a round.
SOAK_SECONDS ?= 600
soak: $(VENV)/.dev
	SOAK_SECONDS=$(SOAK_SECONDS) SEED=$(SEED) $(BIN)/python -m tests.torture.soak

# What some tests use and pip doesn't have: Chromium, pgbouncer and libfaketime. Without them those
# tests are skipped.
extras:
	@missing=; \
	command -v chromium >/dev/null || command -v google-chrome >/dev/null || missing=chromium; \
	PATH="$$PATH:/usr/sbin" command -v pgbouncer >/dev/null || missing="$$missing pgbouncer"; \
	ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || missing="$$missing faketime"; \
	test -z "$$missing" || { \
	  test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq \
	  && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
	     apt-get install -qq --no-install-recommends $$missing >/dev/null; \
	} || echo "Not here, so tests that need it are skipped: $$missing." \
	  "On Debian, 'make extras' as root installs it." >&2

# What the README shows of the report: docs/images.
pictures: $(VENV)/.dev extras
	$(BIN)/python -m tests.report.pictures

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench
	$(BIN)/python -m pytest benchmarks/micro
	$(BIN)/python -m benchmarks.run

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(VENV)/bin/python requirements.lock
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	touch $@

$(VENV)/.dev: $(VENV)/bin/python requirements-dev.lock pyproject.toml
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@ $(VENV)/.runtime

$(VENV)/.bench: $(VENV)/.dev benchmarks/requirements.txt
	$(BIN)/pip install --quiet -r benchmarks/requirements.txt
	touch $@

# Locks hold names, versions and hashes, and no registry's address.
lock: $(VENV)/.dev
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate pyproject.toml --extra postgres -o requirements-postgres.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate pyproject.toml --all-extras --group dev -o requirements-dev.lock

clean:
	rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
