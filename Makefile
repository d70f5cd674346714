# Wayside. `make` alone lists what there is.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PORT   ?= 8080
WEB    := central/web/dist/index.html
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The browser's driver keeps an event loop in its process, so its tests run in processes of their own.
# Tests with real processes mostly wait, so four share two cores: what fails gets one more try, alone. A fault fails twice.
AGAIN  = || { echo "once more, one at a time: what failed" >&2; $(BIN)/pytest --last-failed --last-failed-no-failures none

.DEFAULT_GOAL := help
.PHONY: help install demo loop test fast lint format postgres system processes browser faults soak bench gpu web lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make demo VIDEO=path-or-rtsp-url[,more]      your own cameras"
	@echo "  make demo AUTO=1                             nobody reviews: confident proposals become labels"
	@echo "  make loop VIDEO=path [TRUTH=coco.json]       the whole loop once, without a screen"

$(VENV)/central: pyproject.toml requirements.lock .ci/install
	PYTHON=$(PYTHON) .ci/install central

$(VENV)/dev: pyproject.toml requirements.lock .ci/install
	PYTHON=$(PYTHON) .ci/install dev

$(WEB): $(VENV)/central central/web/package-lock.json central/web/index.html central/web/vite.config.ts $(shell find central/web/src -type f 2>/dev/null)
	$(BIN)/python central/web/build.py

install: $(VENV)/central $(WEB) ## install into .venv and build the UI

web: ## build the UI again
	$(BIN)/python central/web/build.py

demo: install ## the whole loop on this machine, in your browser
	$(BIN)/wayside-central demo $(if $(VIDEO),--video "$(VIDEO)") $(if $(AUTO),--auto) --port $(PORT)

loop: $(VENV)/central ## the whole loop once: VIDEO=path [TRUTH=coco.json]
	$(BIN)/wayside-central demo --once $(if $(VIDEO),--video "$(VIDEO)") $(if $(TRUTH),--truth "$(TRUTH)") --json

test: $(VENV)/dev $(WEB) lint fast postgres system ## everything: style, types, tests with real brokers, processes and a browser

lint: $(VENV)/dev ## style, types, direction of imports, unused dependencies
	$(BIN)/ruff check
	$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/deptry .

format: $(VENV)/dev ## mend what can be mended by itself
	$(BIN)/ruff check --fix

fast: $(VENV)/dev ## tests of single rooms
	$(BIN)/pytest -n 2 -m "not system and not faults and not web" $(AGAIN) -m "not system and not faults and not web"; }

ROWS = tests/central/store/test_database.py tests/central/store/test_search.py tests/central/store/test_sweep.py \
	tests/central/store/test_trend.py tests/central/ingest/test_parked.py tests/central/ingest/test_presence.py \
	tests/central/enrol/test_nodes.py tests/central/annotate/test_datasets.py tests/central/api/test_frames.py \
	tests/central/api/test_queue_routes.py tests/central/api/test_timeline.py tests/central/api/test_people.py

postgres: $(VENV)/dev ## tests that have most to do with rows, on PostgreSQL; they skip where it is not installed
	$(BIN)/pytest -n 2 --dist loadfile --database postgresql $(ROWS)

system: processes browser ## tests of whole processes, faults and the browser

processes: $(VENV)/dev
	$(BIN)/pytest -n 4 --dist loadfile -m "(system or faults) and not web" $(AGAIN) -m "(system or faults) and not web"; }

browser: $(VENV)/dev $(WEB)
	$(BIN)/pytest -n 4 --dist loadfile -m web $(AGAIN) -m web; }

faults: $(VENV)/dev ## break things on purpose, the quick set
	$(BIN)/pytest -n 2 --dist loadfile -m faults

soak: $(VENV)/dev ## the long set of faults and memory
	$(BIN)/python -m benchmarks.soak

bench: $(VENV)/dev ## every figure of docs/figures.md that this machine can make
	$(BIN)/python -m benchmarks

gpu: $(VENV)/central ## the checks that need an NVIDIA GPU; says what is missing
	$(BIN)/python -m benchmarks.gpu

lock: $(VENV)/dev ## pin what is installed now
	$(BIN)/pip freeze --exclude-editable | sed -E 's/\+cpu$$//; /^(pip|setuptools|wheel|uv)==/d; /@ /d' > requirements.lock

clean: ## remove what was built and what the demo kept; the installation stays
	rm -rf .wayside build dist central/web/dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
