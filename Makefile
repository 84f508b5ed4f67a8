.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Folders with few long tests come first: else these are what is waited for in the end.
SIDE_BY_SIDE := --numprocesses 3 --dist loadfile --no-loadscope-reorder

.PHONY: help demo test rules torture cut scale check format lock schema

help: ## Show these commands
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Apollo needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## Three releases on twelve hosts under traffic, a worker killed on the way
	$(BIN)/apollo demo

test: $(READY) ## All tests; real parts that are not installed are skipped, unless APOLLO_REQUIRE names them
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) tests/docs tests/hosts tests/cli tests/engine tests/alarms tests/unit
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) tests/scale tests/workflows tests/replay
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) tests/e2e tests/chaos tests/telemetry tests/examples tests/faults --ignore tests/e2e/test_speed.py
	$(BIN)/python -m pytest tests/e2e/test_speed.py

rules: $(READY) ## Random deployments on a simulated clock, judged by the rules: APOLLO_EXAMPLES of them
	APOLLO_EXAMPLES=$${APOLLO_EXAMPLES:-20000} $(BIN)/python -m pytest --timeout 0 --hypothesis-show-statistics tests/engine -k "every_rule or keep_them_too"

torture: $(READY) ## Crashes between any two commands of the host script, for long: APOLLO_TORTURE examples
	APOLLO_TORTURE=$${APOLLO_TORTURE:-600} $(BIN)/python -m pytest --timeout 0 -s tests/hosts/test_script_torture.py

cut: $(READY) ## The line of a data centre is cut for a whole minute in the middle of a deployment
	APOLLO_CUT=$${APOLLO_CUT:-60} $(BIN)/python -m pytest tests/chaos/test_data_centres.py

scale: $(READY) ## Deployments to 100, 1,000 and 10,000 simulated hosts, measured; HOSTS=100000 for the full size
	$(BIN)/python -m tests.scale

check: $(READY) ## Format, lint, types, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schema: $(READY) ## Write the JSON Schemas of the files anew
	for kind in project environment inventory; do \
		$(BIN)/apollo schema $$kind >docs/schema/$$(echo $$kind | sed s/project/apollo/).schema.json; done

lock: ## Lock what Apollo, its development and its image need, with hashes
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		--extra aws --extra embedded --extra otlp --extra postgres --extra stores --group dev pyproject.toml --output-file requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		--extra aws --extra otlp --extra postgres --extra stores --group build --constraints requirements.lock pyproject.toml \
		--output-file requirements.image.lock
