# Each target does its own set-up: Python 3.11, make and the package registries are all it needs.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SCALE := .venv-scale
VLLM := .venv-vllm
DRAWN := training/runs/fonts/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test test-scale test-training fuzz soak check fmt bench gather eval lock

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): locks/requirements.lock pyproject.toml
	@echo "Setting up $(VENV) (once; about half a minute) …"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r locks/requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(READY)  ## make the virtual environment from the lock file

demo: $(READY)  ## set up, start the service, ask about real pictures, print the answers
	@$(BIN)/python examples/demo.py

serve: $(READY)  ## run the service on 127.0.0.1:8000
	@$(BIN)/sightline serve

test: $(READY)  ## run every test
	@$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

$(SCALE)/.ready: locks/scale.lock pyproject.toml
	@echo "Setting up $(SCALE) (once; a minute) …"
	@$(PYTHON) -m venv --clear $(SCALE)
	@$(SCALE)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r locks/scale.lock
	@$(SCALE)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# PyTorch comes first and alone: the registry's build for this machine. The rest is locked.
$(VLLM)/.ready: locks/vllm.lock
	@echo "Setting up $(VLLM) (once; a few minutes, 3.5 GB) …"
	@$(PYTHON) -m venv --clear $(VLLM)
	@$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	@$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r locks/vllm.lock
	@touch $@

test-scale: $(SCALE)/.ready $(VLLM)/.ready  ## run the tests that need Ray or vLLM, in environments of their own
	@$(SCALE)/bin/python -m pytest -m scale -W ignore::ResourceWarning tests/cluster tests/vllm_cpu

test-training:  ## run the tests that need PyTorch, in training's environment (training/README.md sets it up)
	@PYTHONPATH=training:src training/.venv/bin/python -m pytest --noconftest tests/training/test_learning.py

fuzz: $(READY)  ## a million odd bodies and pictures: 0 crashes, 0 5xx (FUZZ="--seed N --minutes M --case K")
	@cd tests && ../$(BIN)/python -m fuzz.run $(FUZZ)

soak: $(READY)  ## kill and restart real services under load; ledger and clients must agree (SOAK="--kills N …")
	@cd tests && ../$(BIN)/python -m soak.run $(SOAK)

check: $(READY)  ## format, lint, types (layers and sizes are tests)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/house

fmt: $(READY)  ## format and mend what the linter can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(READY)  ## side-by-side measurements, ratios printed
	@$(BIN)/python -m bench

$(DRAWN): training/gather.lock training/pictures/gather.py training/pictures/fonts.py training/pictures/symbols.py
	@echo "Gathering typefaces, icons, words and digits in training/runs/fonts (once; a minute; needs apt-get) …"
	@$(PYTHON) -m venv --clear .venv-gather
	@.venv-gather/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r training/gather.lock
	@.venv-gather/bin/python training/pictures/gather.py
	@rm -rf .venv-gather
	@touch $@

gather: $(DRAWN)  ## fetch what eval and training draw with: typefaces, icons, words, digits, all of them free

eval: $(READY) $(DRAWN)  ## examine the bundled model (docs/bundled-model.md) on pictures it was not trained on and ten not drawn for it
	@status=0; $(BIN)/python training/eval.py --asked 150 --most-pictures 1800 --seed 1 --report || status=1; \
	echo; $(BIN)/python training/foreign.py || status=1; exit $$status

LOCK := .venv-lock/bin/uv pip compile pyproject.toml --universal --generate-hashes --python-version 3.11 \
	--no-header --quiet

lock:  ## renew locks/requirements.lock and locks/scale.lock from pyproject.toml
	@$(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet uv
	@$(LOCK) --extra dev --output-file locks/requirements.lock
	@$(LOCK) --extra cluster --extra scale --output-file locks/scale.lock
	@rm -rf .venv-lock
