# Every target works on a fresh checkout: it creates .venv and installs the pinned set first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
NATIVE := setup.py $(wildcard src/relume/kernels/*.[ch])
DEMO   ?= relume-demo
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup check fix test demo bench clinic docs wheel install clean

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(READY) ## create .venv and install the pinned set

$(READY): pyproject.toml constraints.txt $(NATIVE)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,docs]'
	@touch $@

check: $(READY) ## format, lint, types, layers (what CI runs before the tests)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(READY) ## format, and repair what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: $(READY) ## run every test, with coverage
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal --cov --cov-fail-under 95

demo: $(READY) ## train on handwritten digits and open the report
	$(BIN)/relume fit digits --out $(DEMO) --overwrite --open

bench: $(READY) ## measure what Relume costs, beside its bare twin
	$(BIN)/python -m benchmarks

clinic: $(READY) ## judge the findings on trainings of known truth
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.clinic

docs: $(READY) ## build the documentation into site/, and check its links and slow examples
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	$(BIN)/python docs/check_site.py site
	$(BIN)/python -m docs.outputs --slow
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/docs/test_rule_examples.py -o 'python_functions=mending_*'

wheel: $(READY) ## build the wheel into dist/
	rm -rf build/lib* build/bdist* build/temp*
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@ls dist/relume-*.whl

install: wheel ## try the wheel in an empty environment (minutes, gigabytes)
	$(BIN)/python -m benchmarks.wheel

clean: ## remove everything that the targets above made
	rm -rf $(VENV) src/relume/kernels/_native.*.so build dist site .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis relume-demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
