# The two commands a newcomer needs: make run, make test.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test test-kubernetes test-long lint types contracts schema unit bench bench-peers clean setup setup-dev judges

MANIFEST := manifests/quickstart.yaml
PORT ?=
SET := $(if $(PORT),--set targets.here.local.port=$(PORT))
BIN := .venv/bin

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## build, check and serve the quickstart's model on this machine (PORT=8890)
	@$(BIN)/pipeline run $(MANIFEST) $(SET) --hints
	@echo && echo "the service's answer to the manifest's scoring request:"
	@$(BIN)/pipeline score $(MANIFEST) $(SET)

test: setup-dev ## everything that must hold: style, types, imports, schema, tests (ARGS="-k tar" for pytest)
	@$(MAKE) --no-print-directory -k lint types contracts schema unit

test-long: setup-dev ## the tests that take many minutes: kills at every point, 1000 random kills
	@$(BIN)/python -m pytest -n auto --maxprocesses 8 -rsfE -m long $(ARGS)

test-kubernetes: setup-dev ## the kubernetes target on a real Kubernetes (K8S_DIR: a folder with its programs in bin/)
	@$(BIN)/python -m pytest -rsfE -m kubernetes tests/integration/test_kubernetes.py $(ARGS)

lint:
	@echo "== ruff" && $(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet . || \
	{ echo "to mend: $(BIN)/ruff check --fix . && $(BIN)/ruff format ."; exit 1; }

types:
	@echo "== mypy" && $(BIN)/mypy --no-error-summary

contracts:
	@echo "== import contracts" && { $(BIN)/lint-imports > .venv/imports.log 2>&1 || { cat .venv/imports.log; exit 1; }; }

schema:
	@echo "== schema" && $(BIN)/python -m pipeline.manifest.schema | diff -u schemas/manifest.schema.json - || \
	{ echo "to mend: $(BIN)/python -m pipeline.manifest.schema > schemas/manifest.schema.json"; exit 1; }
	@$(BIN)/python -m pipeline.serve.schema | diff -u schemas/serve.schema.json - || \
	{ echo "to mend: $(BIN)/python -m pipeline.serve.schema > schemas/serve.schema.json"; exit 1; }

unit:
	@echo "== pytest" && $(BIN)/python -m pytest -n auto --maxprocesses 8 -rsfE $(ARGS)

bench: setup ## measure what docs/benchmarks.md states
	@$(BIN)/python -m bench

bench-peers: setup ## measure the same work with docker buildx bake (ARGS=--quick: each once; ARGS=--write: into docs/)
	@$(BIN)/python -m bench.peers $(ARGS)

clean: ## remove what make made here (images and services stay: pipeline stop, docs/local-service.md)
	@rm -rf .venv .venv-azure build dist .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup:
	@sh tools/setup.sh run

setup-dev:
	@sh tools/setup.sh dev

judges: setup-dev ## Azure ML's own libraries, apart from the rest: with them make test also has them judge files
	@sh tools/setup.sh judges
