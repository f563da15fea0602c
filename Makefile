# The whole developer interface; CI calls the same targets. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# BIN can point at another environment (tests/unit/test_plants.py runs these targets in a copy of the tree).
BIN ?= .venv/bin
PYTEST_ARGS ?=
FAULTS_ARGS ?=
# Test files run in this many processes: half of the time tests wait for brokers and deadlines.
PYTEST_JOBS ?= 2
export UV_PYTHON_DOWNLOADS := never

.NOTPARALLEL:

.PHONY: help setup services browser kernels demo test check check-format check-lint check-types check-imports check-house check-monitoring \
	check-references bench look fmt faults lock audit clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | sort | awk -F'\t' '{printf "%-18s %s\n", $$1, $$2}'

setup: ## .venv from requirements.lock; quick when nothing changed
	@bash .ci/setup

# Where they cannot be installed, a line says so; the demo goes on without them and the tests that need them fail.
services: setup ## Prometheus and Alertmanager from Debian packages, where root and apt exist
	@$(BIN)/python -m streams.services.install || true

# Once per tree; else each worker's first start on this machine would wait for it.
kernels: setup ## compile the inner loops (a minute, once)
	@$(BIN)/streams kernels

demo: services kernels ## the whole pipeline on this machine, live (DEMO_SECONDS=N ends by itself)
	@$(BIN)/streams demo

browser: setup
	@$(BIN)/python -m streams.services.install --browser

test: services browser check kernels ## check, then every test (PYTEST_ARGS="-k name" for some)
	@$(BIN)/python -m pytest -n $(PYTEST_JOBS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

check: setup check-format check-lint check-types check-imports check-house check-monitoring check-references ## format, lint, types, imports, house rules, Prometheus files, what refers to the code
	@echo "check: all rules hold"

check-format: ## ruff format, without writing
	@$(BIN)/ruff format --check .

check-lint: ## ruff: style, banned calls
	@$(BIN)/ruff check .

check-types: ## mypy, strict
	@$(BIN)/mypy

check-imports: ## import-linter: who may import whom
	@$(BIN)/lint-imports --no-logo

check-house: ## names, lengths, paths in documents, lock file
	@$(BIN)/python -m pytest -q -o verbosity_assertions=2 --noconftest -p no:randomly -p no:cacheprovider tests/unit/test_house.py

check-monitoring: ## monitoring/ is what its sources give; promtool and amtool on it, where they are installed; compose files
	@$(BIN)/python -m monitoring.source --check
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.*.yml
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows examples/ci/*.yml
	@bash .ci/check-monitoring

check-references: ## compose, Kubernetes, dashboards, rules and runbooks name only settings, metrics, commands and paths that the code has; figures agree
	@$(BIN)/python -m pytest -q --noconftest -p no:randomly -p no:cacheprovider tests/unit/test_compose.py \
		tests/unit/test_compose_cluster.py tests/unit/test_kubernetes.py tests/unit/test_figures.py \
		tests/unit/monitoring/test_dashboards.py tests/unit/monitoring/test_labels.py tests/unit/monitoring/test_rules.py \
		tests/unit/monitoring/test_runbooks.py

bench: setup kernels ## throughput of each path, one JSON line per path
	@$(BIN)/python -m benchmarks.throughput --json

look: setup ## pictures of the dashboards, drawn by Perses (npm) from the Prometheus at PROMETHEUS=http://...
	@$(BIN)/python -m benchmarks.look --prometheus $(PROMETHEUS)

fmt: ## write the format and the safe fixes
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# FAULTS_ARGS="--seed 7 --kills 20 --quick" for another run of the nemesis.
faults: services kernels ## the tests that kill and pause processes, then 100 kills with a stock Faust app beside us (40 min)
	@$(BIN)/python -m pytest -m faults $(PYTEST_ARGS)
	@$(BIN)/python -m benchmarks.faults $(FAULTS_ARGS)

lock: setup ## requirements.lock from pyproject.toml (LOCK_ARGS=--upgrade for newer versions)
	@$(BIN)/uv pip compile --quiet pyproject.toml --all-extras --group dev --universal --generate-hashes --no-header -o requirements.lock $(LOCK_ARGS)

# Not part of make check: it asks PyPI's own JSON interface, which mirrors do not have, and its answer changes by the day.
audit: setup ## known weaknesses of the locked packages; fails where one is found or a package cannot be asked about
	@$(BIN)/uv tool run --from pip-audit==2.10.1 pip-audit -r requirements.lock --no-deps --disable-pip --strict --progress-spinner off

clean: ## remove .venv, caches and the demo's work folder
	rm -rf .venv .streams .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
