# Each verb sets up what it needs in .venv; only Python 3.11 or newer and make must be there.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test browser pictures lint format bench lock clean

demo: .venv/.runtime
	$(BIN)/python -m etl demo

# Most tests wait for processes and servers: three at a time keep two cores busy.
test: .venv/.dev browser
	$(BIN)/python -m pytest -n 3 --dist loadfile

# The report is tested in a real Chromium; without one those tests are skipped.
browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
	  command -v apt-get >/dev/null && test "$$(id -u)" = 0 \
	  && apt-get update -qq && apt-get install -qq --no-install-recommends chromium >/dev/null; \
	} || echo "There is no Chromium: the report's tests in a browser will be skipped." >&2

# What the README shows of the report: docs/images.
pictures: .venv/.dev browser
	$(BIN)/python -m tests.report.pictures

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.bench
	$(BIN)/python -m pytest benchmarks/micro
	$(BIN)/python -m benchmarks.run

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv

.venv/.runtime: .venv/bin/python requirements.lock
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	touch $@

.venv/.dev: .venv/bin/python requirements-dev.lock pyproject.toml
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@ .venv/.runtime

.venv/.bench: .venv/.dev benchmarks/requirements.txt
	$(BIN)/pip install --quiet -r benchmarks/requirements.txt
	touch $@

# Locks hold names, versions and hashes, and no registry's address.
lock: .venv/.dev
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate pyproject.toml --extra postgres -o requirements-postgres.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate pyproject.toml --all-extras --group dev -o requirements-dev.lock

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
