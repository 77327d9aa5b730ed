# `make demo` (install, then the main job; CPU=1: PyTorch without CUDA), `make model` (a real one to try), `make encoders`, `make test`, `make quick`, `make site`.
PYTHON ?= python3.11
VENV := .venv
RUN := $(VENV)/bin
PIP := $(RUN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo model encoders test quick check site install clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(if $(CPU),$(PIP) torch --index-url https://download.pytorch.org/whl/cpu)
	$(PIP) -e ".[dev]"
	touch $@

demo: install
	$(RUN)/detoxlab demo --out demo
	@echo "open demo/report.html; then use detoxlab in this shell: source $(VENV)/bin/activate"

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

site: install
	$(RUN)/mkdocs build --quiet --strict
	@echo site: build/site/index.html

clean:
	rm -rf $(VENV) demo build dist
