# Each target works from a clean clone: it makes .venv and installs the pinned versions first.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
# For "bench" and "artifact": a directory of recorded runs and surrogates.
DATA ?=
# For "artifact": the REST API to read from, and where the runs are kept.
SERVER ?= https://www.openml.org/api/v1/xml
STORE ?= histories

BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt
ARTIFACT := warmstart/artifacts/openml.safetensors

# Processes run side by side here; each with threads of its own would be slower.
export OMP_NUM_THREADS := 1

.PHONY: help demo test test-slow lint bench artifact weights clean

help:
	@echo "make demo      tune LightGBM on bundled data, beside Optuna's TPE: 3 minutes, no torch"
	@echo "make test      lint, types and tests"
	@echo "make test-slow the tests that take minutes each"
	@echo "make lint      lint and types"
	@echo "make bench     the benchmark, into bench-results/ (DATA=directory of runs)"
	@echo "make artifact  make the shipped artifact anew from OpenML (SERVER=url STORE=directory"
	@echo "               DATA=directory with surrogates)"
	@echo "make weights   train the pruner (DATA=directory with surrogates), and meta-train the"
	@echo "               learned optimizers: hours"
	@echo "make clean     remove $(VENV) and what tools leave behind"

demo: $(VENV)/installed
	$(BIN)/metaopt demo

test: lint
	$(BIN)/python -m pytest -n $(JOBS)

test-slow: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n $(JOBS) -m slow

lint: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/installed-dev
	$(BIN)/metaopt bench --jobs $(JOBS) $(if $(DATA),--data $(DATA))

artifact: $(VENV)/installed-dev
	$(BIN)/metaopt openml --server $(SERVER) --flow 6969 --flow 6970 --flow 7707 --store $(STORE)
	$(BIN)/metaopt train --store $(STORE) --store metaopt/histories --fewest-tasks 20 \
		$(if $(DATA),--surrogates $(DATA)) --out $(ARTIFACT)

weights: $(VENV)/installed-dev
	$(BIN)/metaopt train curves $(if $(DATA),--data $(DATA)) --out warmstart/artifacts/curves.safetensors
	$(BIN)/metaopt train optimizer --seed 0 --seed 1 --seed 2 --updates 60 --out meta-training
	$(BIN)/metaopt train optimizer --seed 2 --updates 360 --out meta-training \
		--weights metaopt/optim/weights/lstm.safetensors
	$(BIN)/metaopt train optimizer --schedule --updates 30 --out meta-training-schedule \
		--option n_decay=30 --option judge_every=30 --option learning_rate=0.02 \
		--option 'horizons=[24,200,400]' \
		--weights metaopt/optim/weights/schedule.safetensors

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[lightgbm]'
	touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[dev]'
	touch $@ $(VENV)/installed
