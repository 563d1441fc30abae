PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: all test lint format lock experiments report tensorboard clean

all: $(VENV)/installed  ## train, measure and export a classifier from the pictures that params.yaml names
	dvc repro
	@echo
	@sed -n '/^| figure /,/^$$/p' models/export/README.md
	@echo "Next: $(BIN)/python stages/predict.py your_photo.jpg"

test: $(VENV)/installed-test lint  ## lint and run the tests
	pytest

lint: $(VENV)/installed-test
	ruff check
	ruff format --check

format: $(VENV)/installed-test
	ruff check --fix
	ruff format

lock: $(VENV)/bin/python  ## renew the locked versions from the ranges in pyproject.toml
	pip install --quiet uv
	uv pip compile --quiet --universal --generate-hashes --upgrade pyproject.toml --output-file requirements.lock
	uv pip compile --quiet --universal --generate-hashes --constraints requirements.lock --extra test \
		pyproject.toml --output-file requirements-test.lock

experiments: $(VENV)/installed  ## one table of what was tried
	dvc exp show --only-changed --no-pager --drop '.*(_ci_|/)'

report: $(VENV)/installed  ## the test figures, plots and galleries as one page to send: metrics/report.html
	dvc repro
	python stages/report.py

tensorboard: $(VENV)/installed  ## watch the training curves of all runs
	tensorboard --logdir logs

clean:  ## remove what can be made again; never your pictures, nor params.yaml
	rm -rf $(VENV) logs data/generated data/prepared data/generated_truth.csv models/export models/model.* models/baseline.json

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else \
		f"Python 3.11 to 3.13 is needed, {sys.version.split()[0]} found: make PYTHON=python3.13")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.lock | $(VENV)/bin/python
	pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	touch $@

$(VENV)/installed-test: requirements-test.lock | $(VENV)/bin/python
	pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-test.lock
	touch $@
