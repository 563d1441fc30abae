PYTHON ?= python3
PORT ?= 0
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: all test lint format lock experiments report faces demo tensorboard clean

all: $(VENV)/installed  ## train, measure and export a classifier from the pictures that params.yaml names
	dvc repro
	@sed -n 's|^Right on .*|& Next: $(BIN)/python stages/predict.py your_photo.jpg|p' models/export/README.md

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
	python stages/experiments.py

report: $(VENV)/installed  ## the test figures, plots and galleries as one page to send: metrics/report.html
	dvc repro
	python stages/report.py

faces: $(VENV)/installed  ## train models/faces again: make faces SOURCE=path/to/fer2013
	dvc exp run --name faces -S source=$(SOURCE) $$(cat experiments/faces) export
	cp models/model.keras models/export/model.* models/export/labels.txt models/faces
	cat models/export/README.md models/faces/fer2013.md > models/faces/README.md

demo: $(VENV)/installed demo/node_modules  ## a page to try the models in a browser; PORT=8000, or any free one
	python stages/demo.py
	python -m http.server --bind 127.0.0.1 --directory demo/site $(PORT)

tensorboard: $(VENV)/installed  ## watch the training curves of all runs
	tensorboard --logdir logs

clean:  ## remove what can be made again; never your pictures, nor params.yaml
	rm -rf $(VENV) logs dvc_plots demo/node_modules demo/site data/generated data/generated_truth.csv data/prepared \
		data/failed models/export models/model.keras models/model.json models/baseline.json metrics/plots \
		metrics/report.html metrics/label_errors.* metrics/crossvalidation.* \
		data/*.partial data/.*.partial models/*.partial models/.*.partial metrics/.*.partial

demo/node_modules: demo/package-lock.json
	@command -v npm >/dev/null || { echo "npm is needed: install Node.js, https://nodejs.org, and try again" >&2; exit 1; }
	npm ci --prefix demo --ignore-scripts --no-audit --no-fund
	@touch $@

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else \
		f"Python 3.11 to 3.13 is needed, {sys.version.split()[0]} found: make PYTHON=python3.13")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.lock | $(VENV)/bin/python
	@echo "Installing TensorFlow and what else it takes in $(VENV): 3 GB, a minute or two"
	pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	touch $@

$(VENV)/installed-test: requirements-test.lock | $(VENV)/bin/python
	pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-test.lock
	touch $@
