# Meter to cash. `make demo` is the one command to start with.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SPARK_INSTALLED := $(VENV)/.installed-spark
UV_VERSION := 0.13.9
SCALE ?= small

# The first Python from 3.11 to 3.13 on the path; override with `make PYTHON=/path/to/python`.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3 python; do \
	"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo "$$python" && break; done)

.PHONY: help setup demo ui test spark test-spark check bench sizing lock docs clean

help: ## Show these targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: $(INSTALLED) ## Make the environment in .venv, with .venv/bin/m2c.

$(INSTALLED): pyproject.toml requirements.lock
	@test -n "$(PYTHON)" || { echo "No Python from 3.11 to 3.13 found; install one, or name it: make PYTHON=/path/to/python $(MAKECMDGOALS)"; exit 1; }
	@echo "Making .venv with $(PYTHON) …"
	@"$(PYTHON)" -m venv $(VENV) || { echo "This Python cannot make environments; on Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

demo: setup ## Run the whole chain on this machine, from four sites to invoices and reminders.
	@$(BIN)/m2c demo

ui: setup ## Open Dagster's web UI on the demo data (loopback only).
	@$(BIN)/m2c ui

test: setup ## Run all tests.
	$(BIN)/python -m pytest -n auto --dist loadscope

spark: $(SPARK_INSTALLED) ## Add Apache Spark to .venv (Java 17 must be there to run it here).

$(SPARK_INSTALLED): $(INSTALLED) dbt_project/requirements-spark.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r dbt_project/requirements-spark.lock
	@touch $@

test-spark: spark ## Run the tests of the warehouse on Spark, on a cluster of two workers on this machine.
	M2C_SPARK_ALL=1 $(BIN)/python -m pytest -n 2 --dist loadscope tests/spark

check: setup ## Lint, types, import rules, SQL style, and whether dbt can parse the project.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint dbt_project/models dbt_project/tests
	M2C_DATA_DIR=$(CURDIR)/dbt_project/target $(BIN)/m2c-dbt --quiet parse --project-dir dbt_project --profiles-dir dbt_project --target-path "$(CURDIR)/dbt_project/target" --log-path "$(CURDIR)/dbt_project/target"

bench: setup ## Measure a month and its nights (SCALE=small, medium or full; ARGS="--only month" is the shortest).
	$(BIN)/python tests/bench --scale $(SCALE) $(ARGS)

sizing: setup ## Measure the month's first build at 1, 3 and 10 times so many machines (ARGS="--engines duckdb,spark").
	$(BIN)/python tests/bench/sizing.py $(ARGS)

docs: setup ## Write the data dictionary to data/docs/ (after a build).
	$(BIN)/m2c docs

lock: ## Pin every dependency again in requirements.lock.
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --custom-compile-command "make lock" --quiet --upgrade --output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra spark --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --custom-compile-command "make lock" --quiet --upgrade --constraint requirements.lock \
		--output-file dbt_project/requirements-spark.lock

clean: ## Remove everything that the demo made; the book stays.
	git clean -fdXq data dbt_project
