PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: quickstart test test-slow bench lint format clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[examples,dev]'
	touch $@

quickstart: $(STAMP)  ## everything from nothing: make two sources, build the dataset, ask it one question
	$(BIN)/python examples/quickstart/photographs.py examples/quickstart/data
	$(BIN)/mlimg check examples/quickstart/quickstart.yaml
	$(BIN)/mlimg build examples/quickstart/quickstart.yaml --out build
	$(BIN)/mlimg verify build/quickstart.zarr
	@echo
	$(BIN)/mlimg why build/quickstart.zarr crowd/rocket-07 tabby
	@echo
	@echo "the dataset: $(CURDIR)/build/quickstart.zarr"

test: $(STAMP)  ## style, types and the fast tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest --quiet --doctest-modules mlimg_build
	$(BIN)/pytest -m "not slow and not gpu"

test-slow: $(STAMP)  ## the tests that take minutes
	$(BIN)/pytest -m slow

bench: $(STAMP)  ## measures speed; prints the figures
	MLIMG_BENCH=full $(BIN)/pytest -m bench -s

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf build $(VENV) examples/quickstart/data
