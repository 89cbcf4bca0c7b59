# Everything a person or CI calls. `make help` lists it.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint up drills drill-store-away drill-pace bench bench-merge pictures lock openapi clean

help:  ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */  make \1|/' | column -t -s '|'

setup: $(READY)  ## make .venv and fetch the broker (about 1.5 GB, once)
	@:

$(READY): pyproject.toml requirements.lock deploy/embedded/jars.lock.json deploy/setup.sh
	@PYTHON="$(PYTHON)" bash deploy/setup.sh .venv
	@touch $@

demo: setup  ## the whole pipeline on 500,000 events, checked against the truth
	@$(BIN)/listening demo

up: setup  ## run broker, workers and store until Ctrl-C
	@$(BIN)/listening up

test: lint  ## what CI runs: lint, types, layers, tests
	@$(BIN)/python -m pytest -n 3 --dist worksteal

lint: setup  ## ruff, mypy --strict, layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

drills: setup  ## every fault of the matrix and the negative controls, judged; about 50 minutes, SEED=1
	@$(BIN)/listening drill run all --seed $(or $(SEED),1)

drill-store-away: setup  # ClickHouse away for a minute at 20,000 events/s: memory, lag, exactness
	@$(BIN)/python -m pytest tests/drills/test_store_away.py -m drill -s

drill-pace: setup  # a replay at ten times its pace: within one per cent, on a machine that does nothing else
	@$(BIN)/python -m pytest tests/drills/test_pace.py -m drill -s

bench: setup  ## ours and the peers on one topic, and every figure of speed; about 20 minutes, ROUNDS=3 EVENTS=2000000 ONLY=…
	@ROUNDS="$(ROUNDS)" EVENTS="$(EVENTS)" ONLY="$(ONLY)" $(BIN)/python -m tests.benchmarks.bench

bench-merge: setup  # 20 sorted files of a million rows each into one: memory, speed, completeness
	@$(BIN)/python -m pytest tests/benchmarks/test_merge.py -m drill -s

pictures: setup  # maintainers: docs/pictures/ from a run of its own, about two minutes
	@$(BIN)/python -m tests.browser.pictures

lock:  # maintainers: resolve requirements.lock anew (needs uv)
	@printf 'hatchling\neditables\n' | uv pip compile --quiet --universal --python-version 3.11 --extra dev \
	  --no-header --no-annotate --upgrade --output-file requirements.lock pyproject.toml -

openapi: setup  # maintainers: write docs/openapi/ anew
	@$(BIN)/python -m pipeline.api.openapi
	@$(BIN)/python -m producers.gateway.openapi

clean:  ## remove .venv, caches and the data of all runs (stop `listening up` first)
	@rm -rf .venv .listening .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
