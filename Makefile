# Every target sets itself up: python3 (3.11 or newer) with pip is all it takes.
#
#   make demo    try it: an embedded PostgreSQL, pgproxy in front of it
#   make test    the tests; what needs a server that is not here is skipped
#   make check   format, rules, types, layers
#   make differential   20,000 generated files and 2,000 connections, to PostgreSQL too
#   make own-coverage   each core module, covered by its own test file alone
#   make bench          pgproxy beside PgBouncer, stunnel and PostgreSQL's own TLS
#   make bench-quick    the same in two minutes, for what has a target
#   make bench-hba      how long a pg_hba.conf of ten thousand lines takes
#   make soak-reload    a thousand reloads under load
#   make mutants        which changes to the core no test notices (takes hours)
#
# PYTHON=python3.13 uses another Python for a new environment; PYTEST_ARGS="-k tls"
# goes to pytest; BENCH_ARGS="--only copy-out --rounds 9" to the benchmarks.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
BENCH_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check format differential own-coverage bench bench-quick bench-hba soak-reload mutants clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

demo: $(VENV)/demo.stamp
	$(BIN)/pgproxy demo

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(VENV)/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_import_contract.py

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# DIFFERENTIAL_SEED=2 begins another series.
DIFFERENTIAL_SEED ?= 1
differential: $(VENV)/test.stamp
	PGPROXY_DIFFERENTIAL_SEED=$(DIFFERENTIAL_SEED) \
	PGPROXY_DIFFERENTIAL_FILES=20000 PGPROXY_DIFFERENTIAL_CONNECTIONS=2000 \
	$(BIN)/python -m pytest -s tests/differential $(PYTEST_ARGS)

own-coverage: $(VENV)/test.stamp
	$(BIN)/python tests/tools/own_coverage.py

# As root, where there is apt-get, it installs pgbouncer and stunnel4, and starts no
# service of theirs. BENCH_ARGS="--out docs" writes the page docs/benchmarks.md.
bench: $(VENV)/bench.stamp
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

bench-quick: $(VENV)/bench.stamp
	$(BIN)/python -m benchmarks --quick $(BENCH_ARGS)

bench-hba: $(VENV)/demo.stamp
	$(BIN)/python benchmarks/hba.py

soak-reload: $(VENV)/test.stamp
	PGPROXY_RELOADS=1000 $(BIN)/python -m pytest -q tests/server/test_reload_load.py

mutants: $(VENV)/dev.stamp
	$(BIN)/mutmut run $(MUTMUT_ARGS)
	$(BIN)/mutmut results

clean:
	rm -rf $(VENV) mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Debian's python3 may be without ensurepip; then pip puts itself there.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { \
	  $(PYTHON) -m venv --clear --without-pip $(VENV) && \
	  $(PYTHON) -m pip --python $(BIN)/python install pip; }

# What is installed holds for as long as pyproject.toml does.
$(VENV)/%.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@
