# Every target does its own set-up in $(VENV); a second run starts at once.
VENV ?= .venv
PYTHON ?= python3
HOME_FOLDER ?= .huleedu
STAMP := $(VENV)/.ready
BIN := $(VENV)/bin
LOCK := requirements/constraints.txt
ONLY ?=
# By file: tests of a file share their servers.
SPREAD := -n logical --maxprocesses 4 --dist loadfile
HULEEDU_INTAKE_PORT ?= 8000
HULEEDU_WEB_PORT ?= 3000
HULEEDU_READ_ONLY_PORT ?= 3001

.PHONY: setup demo up test test-all lint bench constraints schemas samples screenshots smoke clean

setup: $(STAMP)

$(STAMP): pyproject.toml $(LOCK) scripts/setup.sh
	bash scripts/setup.sh "$(PYTHON)" "$(VENV)" "$(LOCK)"
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/huleedu demo --home $(HOME_FOLDER)

up: $(STAMP)
	$(BIN)/huleedu up --home $(HOME_FOLDER)

test: $(STAMP)
	$(BIN)/python -m pytest $(SPREAD) -m "not slow"

test-all: $(STAMP)
	$(BIN)/python -m pytest $(SPREAD)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_files.py

bench: $(STAMP)
	$(BIN)/python -m benchmarks $(ONLY)

# Renews the pinned versions with their hashes; names no package host.
constraints: $(STAMP)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras \
		--generate-hashes --no-emit-index-url --no-header --no-annotate --no-strip-extras --upgrade \
		pyproject.toml -o $(LOCK)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra scale \
		--extra kubernetes --generate-hashes --no-emit-index-url --no-header --no-annotate \
		--no-strip-extras -c $(LOCK) pyproject.toml -o requirements/production.txt

schemas: $(STAMP)
	$(BIN)/huleedu schemas

samples: $(STAMP)
	$(BIN)/python -m scripts.make_samples

screenshots: $(STAMP)
	$(BIN)/python -m scripts.screenshots

# Against what `docker compose up` started; a token is made in the intake's container and revoked.
smoke:
	$(PYTHON) scripts/smoke.py --intake http://127.0.0.1:$(HULEEDU_INTAKE_PORT) \
		--dagster-url http://127.0.0.1:$(HULEEDU_WEB_PORT) \
		--dagster-url http://127.0.0.1:$(HULEEDU_READ_ONLY_PORT) \
		--huleedu "docker compose exec -T intake huleedu"

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
