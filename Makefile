PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
REQUIREMENTS := $(VENV)/.requirements
NATIVE := $(wildcard mlimg_build/images/native/*.[ch])

.PHONY: quickstart test test-slow test-gpu test-lower-bounds fuzz bench bench-labels bench-lists bench-training lint format clean

$(REQUIREMENTS): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[examples,dev,train,timm]'
	touch $@

$(STAMP): $(REQUIREMENTS) $(NATIVE)  # an edit of C builds the extension alone, in seconds; one that does not compile is shown and removed
	rm -f mlimg_build/images/_native.*
	$(BIN)/python -W ignore -c 'from setuptools import setup; setup()' --quiet build_ext --inplace --build-temp $(VENV)/native --build-lib $(VENV)/native
	touch $@

quickstart: $(STAMP)  ## everything from nothing: two sources, the dataset, the model, the report; asks both a question
	$(BIN)/python examples/quickstart/photographs.py examples/quickstart/data
	$(BIN)/mlimg check examples/quickstart/quickstart.yaml
	$(BIN)/mlimg build examples/quickstart/quickstart.yaml --out build
	$(BIN)/mlimg verify build/quickstart.zarr --labels
	@echo
	$(BIN)/mlimg why build/quickstart.zarr crowd/rocket-left-07 tabby
	@echo
	$(BIN)/mlimg evaluate build/quickstart.model build/quickstart.zarr
	@echo
	$(BIN)/mlimg predict build/quickstart.model examples/quickstart/data/crowd/images/cat-right-17.jpg
	@echo
	@echo "trained on the left of each photograph, measured on the right: no pixel is on both sides"
	@echo
	@echo "the dataset: $(CURDIR)/build/quickstart.zarr"
	@echo "the model:   $(CURDIR)/build/quickstart.model"
	@echo "the report:  $(CURDIR)/build/quickstart.html"

test: $(STAMP)  ## style, types and the fast tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest --quiet --doctest-modules mlimg_build
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder --durations 15 -m "not slow and not gpu"

test-slow: $(STAMP)  ## the tests that take minutes, and the laws with five times the examples
	$(BIN)/pytest -m slow
	HYPOTHESIS_PROFILE=full $(BIN)/pytest -n auto --dist loadfile -m "hypothesis and not slow and not gpu"

test-lower-bounds:  ## the core tests with the lowest versions that pyproject.toml allows; without training
	$(PYTHON) -m venv .venv-lower
	$(PYTHON) .ci/lower_bounds.py > .venv-lower/constraints.txt
	.venv-lower/bin/python -m pip install --quiet --constraint .venv-lower/constraints.txt --editable '.[examples,tests]'
	.venv-lower/bin/python -m pytest -n auto --dist loadfile -m "not slow and not gpu" tests/cli tests/compiler \
		tests/dataset tests/images tests/labels tests/situations tests/sources tests/spec tests/wordnet

FUZZ_SECONDS ?= 600

fuzz: $(STAMP)  ## inputs nearly in order for everything that reads what others wrote, ten minutes or FUZZ_SECONDS=…
	$(BIN)/python -m tests.fuzz $(FUZZ_SECONDS)

test-gpu: $(STAMP)  ## the tests that need a CUDA device
	$(BIN)/pytest -m gpu

bench: $(STAMP)  ## measures speed; prints the figures
	MLIMG_BENCH=full $(BIN)/pytest -m bench -s

bench-labels: $(STAMP)  ## measures the labels of a collection of the published size; 8 GB of disk, some minutes
	MLIMG_BENCH=full $(BIN)/pytest tests/compiler/test_label_scale.py -k minute -s

bench-lists: $(STAMP)  ## measures a plan from raw lists of up to the published size; 16 GB of disk, some minutes
	MLIMG_BENCH=full $(BIN)/pytest tests/compiler/test_list_scale.py -s

bench-training: $(STAMP)  ## measures loaders beside torchvision's and DALI's (1 GB, in .venv-dali), losses, evaluation, training
	$(PYTHON) -m venv .venv-dali
	.venv-dali/bin/python -m pip install --quiet numpy nvidia-dali-cuda120
	MLIMG_BENCH=full MLIMG_DALI_PYTHON=$(CURDIR)/.venv-dali/bin/python $(BIN)/pytest -m bench -s tests/training

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf build $(VENV) .venv-lower .venv-dali examples/quickstart/data mlimg_build/images/_native.*
