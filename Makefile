# Image features. `make` alone lists the targets by heading; each target makes what it needs first.
# A line `##@ …` begins a heading. The text after a target's `##` is its description.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PORT ?= 8080
COUNT ?= 50000
REPETITIONS ?= 3
export PYTHONPATH := $(CURDIR)
# Read from the environment: nothing that a user typed is part of a shell line.
export DATASET PARTITION FOLDER URI QUERY KILLS HISTORIES STEP_KILLS EXPORT_KILLS SEED PORT COUNT REPETITIONS IMAGES WHOLE CURVE SIZES MODULE LINES
LOCKS := requirements.txt requirements/dev.txt

##@ Try it
.PHONY: demo features

demo: setup  ## real photos to a table and a picture: three days backfilled by a real Airflow
	@$(BIN)/python -m demo

features: setup  ## the images of one folder to a table and a picture: make features FOLDER="~/My Photos"
	@test -n "$$FOLDER" || { echo 'say which: make features FOLDER="~/My Photos"'; exit 2; }
	@$(BIN)/imagefeatures folder -- "$$FOLDER"

##@ Your images
.PHONY: up run check-store spark-sql

up: setup  ## Airflow's UI with your datasets on 127.0.0.1 (PORT=8080), until Ctrl-C
	@$(BIN)/python -m deploy.local up --port "$$PORT"

run: setup  ## one partition to the end: make run DATASET=fruit PARTITION=2026-11-02 (MAX_REJECTED=1 SAMPLE=0.1 …)
	@test -n "$$DATASET" || { echo "say which: make run DATASET=fruit PARTITION=2026-11-02"; exit 2; }
	@$(BIN)/python -m deploy.local run "$$DATASET" "$$PARTITION"

check-store: setup  ## what your object store does, before you trust it: make check-store URI=s3://bucket/folder/
	@test -n "$$URI" || { echo "say which: make check-store URI=s3://bucket/folder/"; exit 2; }
	@$(BIN)/imagefeatures check-store "$$URI"

spark-sql: setup  ## Spark SQL on the tables: a shell, or the answer to QUERY="SELECT …"
	@$(BIN)/python -m deploy.local spark-sql

##@ Containers
.PHONY: up-compose demo-compose down-compose

up-compose: .env  ## docker-compose.yml: Airflow, Spark, PostgreSQL and an object store in containers, until stopped
	@docker compose up --build --detach --wait && $(PYTHON) -m deploy.compose.env --announce

demo-compose: up-compose  ## the demo's three days through the containers: photos into the bucket, backfill, the table
	@docker compose run --rm --no-deps demo

down-compose:  ## stop and remove the containers; bucket and databases stay (docker compose down --volumes removes them)
	@docker compose --profile '*' down

.env:
	@$(PYTHON) -m deploy.compose.env

##@ Tests
.PHONY: test test-classify test-cluster test-sql test-kills test-attacks test-corpora test-matrix test-models test-sources test-drift test-memory test-readers test-exports test-serving screenshots test-compose test-wheel fuzz mutants

test: setup  ## the whole test suite, in as many processes as the machine has cores
	@$(BIN)/python -m pytest --numprocesses auto --dist loadscope --no-loadscope-reorder

test-cluster: setup  ## real servers: races and faults, then a day through MinIO, PostgreSQL and a Spark cluster (minutes)
	@$(BIN)/python -m pytest -m long
	@$(BIN)/python -m pytest tests/suites/cluster

test-sql: setup  ## Spark SQL and a REST catalog on published tables; downloads 320 MB of jars first
	@$(BIN)/python -m pytest tests/suites/sql

test-kills: setup  ## register and Spark's processes killed at random moments (KILLS=100 REDRIVE_KILLS=30 FORGET_KILLS=30 STEP_KILLS=3 HISTORIES=200 SEED=0)
	@$(BIN)/python -m pytest tests/suites/kills
	@HISTORIES="$${HISTORIES:-200}" $(BIN)/python -m pytest tests/upkeep -m long

test-attacks: setup  ## power cuts, full disks, stores that lie and other people's hands, n tried and n held (minutes)
	@$(BIN)/python -m pytest tests/suites/attacks --timeout 1800

test-corpora: setup  ## eight imaging libraries' test images among 500 good photos, through the real jobs (minutes)
	@$(BIN)/python tests/suites/corpora/run.py

test-matrix: setup .bench/matrix/.ready  ## thousands of TIFFs, PNGs, BMPs, GIFs, WebPs and JPEGs against other readers (minutes)
	@$(BIN)/python -m pytest tests/suites/matrix

test-models: setup  ## every model by name and of every format: the engines against its own framework (minutes)
	@$(BIN)/python -m pytest tests/suites/models --timeout 1800

test-sources: setup  ## every kind of source: Airflow's backfills and triggers on MinIO, runs killed and resumed (minutes)
	@$(BIN)/python -m pytest tests/suites/sources --timeout 1800

test-drift: setup  ## drift on real photos: fifty halves of them as they are, turned, brighter, with others in their place (minutes)
	@$(BIN)/python -m pytest tests/suites/drift --timeout 1800

test-memory: setup  ## the memory of full shards' workers, and of the driver over a million images (minutes)
	@$(BIN)/python -m pytest tests/suites/memory --timeout 2400

test-readers: setup .bench/torch/.ready  ## a training by PyTorch and by TensorFlow, in workers, memory over 200,000 rows (minutes)
	@$(BIN)/python -m pytest tests/suites/readers

test-exports: setup .bench/exports/.ready  ## exports killed at random moments, here and in MinIO; FAISS and WebDataset; memory (EXPORT_KILLS=20 SEED=0; minutes)
	@$(BIN)/python -m pytest tests/exports -m long
	@$(BIN)/python -m pytest tests/suites/exports

test-serving: setup .bench/serving/.ready .bench/triton/.ready  ## a real KServe and a real Triton: parity, killed, restarted, changed in mid-run; downloads 0.7 GB first (minutes)
	@$(BIN)/python -m pytest tests/suites/serving

test-classify: setup  ## classifiers by a real Spark, drivers killed, the DAG through a real Airflow (SEED=0; minutes)
	@$(BIN)/python -m pytest tests/suites/classify --timeout 1800

screenshots: setup  ## the pages in a Chromium, light and dark, wide and narrow: .bench/screenshots, three of them docs/images (minutes)
	@SCREENSHOTS="$(CURDIR)/.bench/screenshots" $(BIN)/python -m pytest -m long tests/integration/test_pages_in_browser.py
	@cp .bench/screenshots/page-run.png docs/images/ && cp .bench/screenshots/datasets-light-1400.png docs/images/page-datasets.png && cp .bench/screenshots/map-light-1400.png docs/images/page-map.png

test-compose: setup  ## the containers from nothing, with two Spark workers, and what must hold of them (minutes)
	@$(BIN)/python -m pytest tests/suites/compose --timeout 1800

test-wheel: setup  ## the wheel in an empty environment: a DAG file of three lines, a scheduler, the page (minutes)
	@$(BIN)/python -m pytest tests/suites/wheel --timeout 1800

fuzz: setup  ## mutated images through the validate and decode path (COUNT=50000)
	@PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(BIN)/python -m support.fuzz_images --count "$$COUNT"

mutants: setup  ## mistakes in a module that no quick test notices: make mutants MODULE=imagefeatures/steps/reuse.py (ONE_IN=10: a tenth of them)
	@test -n "$$MODULE" || { echo "say which: make mutants MODULE=imagefeatures/steps/reuse.py"; exit 2; }
	@PYTHONPATH=$(CURDIR):$(CURDIR)/tests nice $(BIN)/python -m support.mutants --lines "$$LINES" --one-in "$${ONE_IN:-1}" "$$MODULE" --tests $$TESTS

##@ Development
.PHONY: setup lint format lock wheel bench models clean help

setup: $(READY)  ## the environment: .venv, Java, Spark's class archive

$(READY): $(LOCKS) requirements/build.txt requirements/readers.txt requirements/tools.txt pyproject.toml setup.py $(wildcard imagefeatures/_*.c imagefeatures/_*.h) scripts/setup
	@PYTHON=$(PYTHON) VENV=$(VENV) scripts/setup && touch $@

lint: setup  ## ruff, its rules in pyproject.toml and in the folders' ruff.toml; mypy, strict
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: setup  ## let ruff write the code's layout
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

lock: setup  ## compile requirements.txt, requirements/dev.txt and the peers' anew
	@scripts/lock

wheel: setup  ## dist/imagefeatures-….whl, for an Airflow and a Spark that you have already
	@scripts/wheel $(BIN)/python dist

bench: setup .bench/daft/.ready .bench/ray/.ready $(if $(SIZES),.bench/matrix/.ready)  ## limits, our steps and the peers in one table; 45 minutes, or IMAGES=1000; SIZES=all by size of the photo (hours)
	@$(if $(SIZES),$(BIN)/python -m benchmarks.sizes "$$SIZES" --repetitions "$$REPETITIONS" $(if $(IMAGES),--images "$$IMAGES"),$(BIN)/python -m benchmarks --repetitions "$$REPETITIONS" \
		$(if $(IMAGES),--images "$$IMAGES") $(if $(WHOLE),--whole "$$WHOLE") $(if $(CURVE),--curve "$$CURVE"))

models: setup  ## docs/models.md's table: every model by name against Keras, and its speed (half an hour)
	@$(BIN)/python -m benchmarks.models

.bench/matrix/.ready: requirements/matrix.txt | setup
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes --upgrade --target .bench/matrix -r $< && touch $@

.bench/torch/.ready: requirements/torch.txt tests/suites/readers/install_torch.py | setup
	@$(BIN)/python tests/suites/readers/install_torch.py .bench/torch && touch $@

.bench/exports/.ready: requirements/exports.txt | setup
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes --upgrade --target .bench/exports -r $< && touch $@

# Triton comes as a package for the Python of Debian 12 alone; elsewhere its tests say that they are skipped.
.bench/triton/.ready: requirements/triton.txt | setup
	@rm -rf .bench/triton && mkdir -p .bench/triton
	@if /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info[:3] != (3, 11, 2))'; then \
	    /usr/bin/python3 -m venv --without-pip .bench/triton && $(BIN)/python -m pip --python .bench/triton/bin/python \
	        install --quiet --no-deps --require-hashes -r $<; fi && touch $@

.bench/serving/.ready: requirements/serving.txt | setup
	@rm -rf .bench/serving && $(BIN)/python -m venv --without-pip .bench/serving
	@$(BIN)/python -m pip --python .bench/serving/bin/python install --quiet --no-deps --require-hashes -r $< && touch $@

.bench/%/.ready: benchmarks/peers/%.txt | setup
	@scripts/peer $* $(BIN)/python && touch $@

clean:  ## remove .venv, Airflow's folder, the demo's photos and picture; the lake stays
	rm -rf $(VENV) .bench .airflow photos out .pytest_cache .ruff_cache .mypy_cache *.egg-info

help:  ## list these targets
	@awk -F ':.*## ' '/^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' \
		$(MAKEFILE_LIST)
