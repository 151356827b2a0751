# Two commands: `make demo` runs the main job, `make test` runs everything that must hold.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-vllm lint types contracts unit soak clean help

help:
	@echo "make demo   guard a real agent on an embedded model; prints bare against guarded"
	@echo "make test   lint, types, import contracts, tests"
	@echo "make test-vllm   tests against real vLLM servers on the CPU; about 10 minutes"
	@echo "make soak   100,000 random agents on both surfaces; about an hour"
	@echo "make clean  remove the virtual environment and the caches"

demo: $(READY)
	$(BIN)/toolrm-guard demo

test: lint types contracts unit

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

contracts: $(READY)
	$(BIN)/lint-imports

unit: $(READY)
	$(BIN)/pytest

# The server has an environment of its own in the cache: its pins would not go with ours.
test-vllm: $(READY)
	TOOLRM_GUARD_VLLM_PYTHON=$$(PYTHON=$(PYTHON) tests/vllm/install.sh) \
		$(BIN)/pytest --timeout 600 --durations 5 tests/vllm

soak: $(READY)
	TOOLRM_SOAK_RUNS=100000 $(BIN)/pytest tests/graphs/test_soak.py

# The file stands for the finished installation, so that a second run installs nothing.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
