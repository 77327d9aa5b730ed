# `make demo` (install, then the main job), `make model` (a real one to try), `make encoders`, `make test`, `make quick`.
PYTHON ?= python3.11
VENV := .venv
RUN := $(VENV)/bin

.PHONY: demo model encoders test quick check install clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

demo: install
	$(RUN)/detoxlab demo --out demo

model: install
	$(RUN)/python scripts/fetch_model.py

encoders: install
	$(RUN)/python scripts/fetch_encoders.py

PYTEST := OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1 \
	$(RUN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

test: install
	$(PYTEST)

quick: install
	$(PYTEST) -m "not slow and not e2e"

check: install
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports
	$(RUN)/python scripts/check_docs.py

clean:
	rm -rf $(VENV) demo build dist
