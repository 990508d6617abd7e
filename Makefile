# Hypereal. `make run` starts it, `make test` tests it, `make help` lists the rest.
.DEFAULT_GOAL := help
PY := .venv/bin/python
SOURCES := src tests benchmarks scripts
TESTS_AT_ONCE ?= 3

.PHONY: help setup run test check e2e golden bench docs lock dist clean

help:  ## what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.run  ## the virtual environment with everything that `make run` needs

run: .venv/.run  ## set up, then serve http://127.0.0.1:8787
	@exec .venv/bin/hypereal serve

test: .venv/.test  ## unit, contract, golden and end-to-end tests
	@exec $(PY) -m pytest -n $(TESTS_AT_ONCE) --dist loadfile

check: .venv/.test  ## format, lint, types, layers, structure
	@$(PY) -m ruff format --check $(SOURCES)
	@$(PY) -m ruff check $(SOURCES)
	@$(PY) -m mypy
	@.venv/bin/lint-imports
	@$(PY) -m pytest tests/structure

E2E ?= -m "not slow"
e2e: .venv/.test  ## real agents and SDKs through the gateway (E2E="-m bounded": the quick ones; "-m slow": ten minutes)
	@exec $(PY) -m pytest tests/agents --tb=short $(E2E)

golden: .venv/.test  ## write tests/golden anew from what the code answers; read the diff
	@HYPEREAL_TEST_GOLDEN=rewrite $(PY) -m pytest tests/golden

bench: .venv/.test  ## CPU per call and delays beside nginx, in one run (needs gcc, nginx and wrk)
	@exec $(PY) benchmarks/bench.py $(BENCH)

docs: .venv/.run  ## write docs/reference anew from settings, commands, models and providers
	@$(PY) scripts/reference.py

lock: .venv/.test  ## resolve the dependencies anew into locks/
	@sh scripts/lock.sh

dist: .venv/.test  ## the wheel and the source archive, in dist/ (COMPILED=1: a wheel whose hot path is machine code too)
	@$(PY) -m hatchling build
	@if [ -n "$(COMPILED)" ]; then sh scripts/compiled_wheel.sh; fi

clean:  ## remove the virtual environment and what tools left behind
	rm -rf .venv .e2e-cache dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.venv/.run: locks/uv.txt locks/run.txt locks/local.txt pyproject.toml scripts/setup.sh
	@sh scripts/setup.sh run

.venv/.test: .venv/.run locks/test.txt
	@sh scripts/setup.sh test
