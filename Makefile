# Everything that a fresh clone needs; `make` alone lists the targets.
#
# Stamp files record the set-up, so that repeating it takes no time: a changed lock file installs
# again, a changed source of the explorer builds it again, and nothing else does anything.

SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
INSTALL := $(BIN)/python scripts/install.py

# The first suitable Python, or `PYTHON`; checked here so that the message is clear.
find-python = for p in $(PYTHON) python3.13 python3.12 python3.11 python3.14 python3; do \
	if "$$p" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' \
		2>/dev/null; then echo "$$p"; exit 0; fi; done; \
	echo "Taskloom needs Python 3.11 to 3.14 with venv (Debian: apt install python3-venv)." >&2; \
	exit 1

# The pages in browsers are built meanwhile: the server shows them as soon as they are there.
PAGES := $(STAMPS)/explorer $(STAMPS)/board
with-pages = ( nice $(MAKE) --silent $(PAGES) & ) && $(MAKE) --silent $(STAMPS)/runtime

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: serve
serve: $(STAMPS)/venv ## Serve at http://127.0.0.1:8000 (see `taskloom settings`)
	@$(with-pages) && exec $(BIN)/taskloom serve

.PHONY: dev
dev: $(STAMPS)/venv ## Serve, and restart when the code changes
	@$(with-pages) && exec $(BIN)/taskloom serve --reload

.PHONY: demo
demo: $(STAMPS)/runtime ## Create demo data; make demo SCALE=100 for a lot of it
	@$(BIN)/taskloom demo --scale $(or $(SCALE),1)

.PHONY: test
test: $(STAMPS)/dev $(PAGES) $(STAMPS)/client ## Run the tests; make test ARGS="-k name" for some
	@$(BIN)/python scripts/chromium.py
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: check
check: $(STAMPS)/dev ## Lint, types, layers, schema.graphql, models and migrations
	@echo "ruff"; $(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .
	@echo "mypy"; $(BIN)/mypy
	@echo "layers"; $(BIN)/python scripts/check_layers.py
	@echo "schema"; $(BIN)/taskloom schema --check
	@echo "models and migrations"; $(BIN)/python scripts/check_migrations.py

.PHONY: bench
bench: $(STAMPS)/dev ## Measure beside other servers, in 12 minutes; make bench ARGS=--quick
	@$(BIN)/python -m bench.run $(ARGS)

.PHONY: bench-all
bench-all: $(STAMPS)/dev ## Every benchmark that has a part in bench/RESULTS.md, in an hour
	@$(BIN)/python -m bench.everything $(ARGS)

.PHONY: mutants
mutants: $(STAMPS)/dev ## Insert small faults and print those that no test notices (takes hours)
	@$(BIN)/python scripts/mutants.py $(ARGS)

.PHONY: explorer
explorer: $(STAMPS)/explorer ## Build the explorer, if it has changed

.PHONY: board
board: $(STAMPS)/board ## Build the board, if it has changed

.PHONY: schema
schema: $(STAMPS)/runtime ## Write schema.graphql from the code
	@$(BIN)/taskloom schema > schema.graphql.new && mv schema.graphql.new schema.graphql
	@echo "Wrote schema.graphql"

.PHONY: client-types
client-types: $(STAMPS)/venv ## Write the TypeScript types of clients from schema.graphql
	@$(BIN)/python -m scripts.build_npm clients/typescript generate generate:board build

.PHONY: schema-checks
schema-checks: $(STAMPS)/dev ## Check schema.graphql as clients' tools see it, and for breaking changes
	@$(BIN)/python -m pytest -q -rs tests/schema

.PHONY: docs
docs: $(STAMPS)/docs ## Build the documentation as a site, in build/docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m scripts.build_docs

.PHONY: lock
lock: ## Update the lock files (needs uv)
	@sh scripts/lock.sh

.PHONY: clean
clean: ## Remove everything built; make clean DATA=1 removes the embedded database too
	@if [ -n "$(DATA)" ] && [ -x $(BIN)/python ]; then $(BIN)/python scripts/remove_data.py; fi
	@rm -rf $(VENV) explorer/node_modules explorer/dist bench/.data/build \
		clients/board/node_modules clients/board/dist \
		clients/typescript/node_modules clients/typescript/dist clients/typescript/tests/build \
		clients/typescript/tests/generated \
		bench/peers/node/node_modules tests/*/node_modules build *.egg-info \
		.mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Set-up

$(STAMPS)/venv: requirements-pip.lock
	@python=$$($(find-python)) && echo "Creating an environment with $$($$python --version) …" && \
		$$python scripts/install.py
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/runtime: requirements.lock pyproject.toml $(STAMPS)/venv
	@echo "Installing the dependencies …"
	@$(INSTALL) requirements.lock .
	@touch $@

$(STAMPS)/dev: requirements-dev.lock $(STAMPS)/runtime
	@echo "Installing the tools for tests and checks …"
	@$(INSTALL) requirements-dev.lock
	@touch $@

$(STAMPS)/docs: requirements-docs.lock $(STAMPS)/runtime
	@echo "Installing MkDocs …"
	@$(INSTALL) requirements-docs.lock
	@touch $@

# The server works without the explorer: its page then says what is missing.
$(STAMPS)/explorer: $(STAMPS)/venv $(shell find explorer -type f -not -path '*/node_modules/*' \
		-not -path '*/dist/*' -not -name dist.building 2>/dev/null)
	@$(BIN)/python -m scripts.build_npm explorer && touch $@ || \
		echo "The explorer could not be built (see above); the API works without it."

$(STAMPS)/board: $(STAMPS)/venv $(shell find clients/board clients/typescript/src -type f \
		-not -path '*/node_modules/*' -not -path '*/dist/*' -not -name dist.building 2>/dev/null)
	@$(BIN)/python -m scripts.build_npm clients/board && touch $@ || \
		echo "The board could not be built (see above); the API works without it."

# Only its tests need it.
$(STAMPS)/client: $(STAMPS)/venv $(shell find clients/typescript -type f \
		-not -path '*/node_modules/*' -not -path '*/dist/*' -not -path '*/tests/*' \
		-not -name dist.building 2>/dev/null)
	@$(BIN)/python -m scripts.build_npm clients/typescript && touch $@ || \
		echo "The TypeScript client could not be built (see above); its tests will be skipped."
