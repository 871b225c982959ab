# `make demo` and `make test` set up .venv by themselves; a second call does not install again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SET_UP := $(VENV)/.set-up

.PHONY: demo test check docs bench evidence format clean

demo: $(SET_UP)  ## download the data, train for five minutes, evaluate, write a report
	$(BIN)/pellucid demo

# By `worksteal`, the tests of a module run in one process, which sets up the module's fixtures once.
test: $(SET_UP) check  ## style, types and all tests
	HF_HUB_OFFLINE=1 $(BIN)/pytest -n 2 --dist worksteal

check: $(SET_UP)  ## style, types and the order of the packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(SET_UP)  ## the documentation site, in site/; a broken link is an error
	$(BIN)/python scripts/build_docs.py
	$(BIN)/zensical build --strict --clean

bench: $(SET_UP)  ## speed of a training step; requires an otherwise idle machine
	$(BIN)/python benchmarks/training_step.py

evidence: $(SET_UP)  ## the comparisons in results/, in hours; finished runs are skipped
	$(BIN)/python scripts/evidence.py

format: $(SET_UP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Constraints hold the versions that the tests run on: without them pip may replace the installed build of torch.
# pip would compile on one core; what does not compile, such as torch's files for a newer Python, is not imported either.
$(SET_UP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e '.[dev]'
	-@$(BIN)/python -m compileall -qq -j 2 $(VENV)/lib
	touch $@

clean:
	rm -rf $(VENV) build dist site .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
