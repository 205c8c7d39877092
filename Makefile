# Everything that a fresh clone needs; `make` alone says what there is.
#
# Set-up is kept in stamp files, so that the second time takes no time: a lock file that changed
# installs again, a source of the explorer that changed builds it again, nothing else does anything.

SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
LOCKED := $(PIP) --require-hashes --no-deps

# The first Python that will do; written as a check of its own so that the message is ours.
find-python = for p in python3.13 python3.12 python3.11 python3.14 python3; do \
	if "$$p" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' \
		2>/dev/null; then echo "$$p"; exit 0; fi; done; \
	echo "Taskloom needs Python 3.11 to 3.14 with venv (Debian: apt install python3-venv)." >&2; \
	exit 1

.PHONY: help
help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: serve
serve: $(STAMPS)/runtime $(STAMPS)/explorer ## Serve at http://127.0.0.1:8000 (see `taskloom settings`)
	@exec $(BIN)/taskloom serve

.PHONY: dev
dev: $(STAMPS)/runtime $(STAMPS)/explorer ## Serve, and start again on every change of the code
	@exec $(BIN)/taskloom serve --reload

.PHONY: demo
demo: $(STAMPS)/runtime ## Fill the database with demo data; make demo SCALE=100 for a lot of it
	@$(BIN)/taskloom demo --scale $(or $(SCALE),1)

.PHONY: test
test: $(STAMPS)/dev $(STAMPS)/explorer ## Run the tests; make test ARGS="-k name" for some
	@$(BIN)/python scripts/chromium.py
	@$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

.PHONY: check
check: $(STAMPS)/dev ## Lint, types, layers, schema.graphql, models and migrations
	@echo "ruff"; $(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .
	@echo "mypy"; $(BIN)/mypy
	@echo "layers"; $(BIN)/python scripts/check_layers.py
	@echo "schema"; $(BIN)/taskloom schema --check
	@echo "models and migrations"; $(BIN)/python scripts/check_migrations.py

.PHONY: bench
bench: $(STAMPS)/dev ## Measure against the floor and peers, in six minutes; make bench ARGS=--quick
	@$(BIN)/python -m bench.run $(ARGS)

.PHONY: mutants
mutants: $(STAMPS)/dev ## Put small faults into the code and print what no test notices (by night)
	@$(BIN)/python scripts/mutants.py $(ARGS)

.PHONY: explorer
explorer: $(STAMPS)/explorer ## Build the explorer anew, if it has changed

.PHONY: schema
schema: $(STAMPS)/runtime ## Write schema.graphql from the code
	@$(BIN)/taskloom schema > schema.graphql.new && mv schema.graphql.new schema.graphql
	@echo "Wrote schema.graphql"

.PHONY: lock
lock: ## Write the lock files anew (needs uv)
	@sh scripts/lock.sh

.PHONY: clean
clean: ## Remove what was made, save the data; make clean DATA=1 removes the embedded database too
	@if [ -n "$(DATA)" ] && [ -x $(BIN)/python ]; then $(BIN)/python scripts/remove_data.py; fi
	@rm -rf $(VENV) explorer/node_modules explorer/dist build *.egg-info \
		.mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Set-up

$(STAMPS)/venv:
	@python=$$($(find-python)) && echo "Making an environment with $$($$python --version) …" && \
		$$python -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/runtime: requirements.lock pyproject.toml $(STAMPS)/venv
	@echo "Installing the dependencies …"
	@$(LOCKED) -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(STAMPS)/dev: requirements-dev.lock $(STAMPS)/runtime
	@echo "Installing the tools for tests and checks …"
	@$(LOCKED) -r requirements-dev.lock
	@touch $@

# A server without its explorer is still a server: the page then says what is missing.
$(STAMPS)/explorer: $(STAMPS)/runtime $(shell find explorer -type f -not -path '*/node_modules/*' \
		-not -path '*/dist/*' 2>/dev/null)
	@$(BIN)/python scripts/build_explorer.py && touch $@ || \
		echo "The explorer could not be built (see above); the API works without it."
