PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUN ?= default

.PHONY: demo test lint types audit docs clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e '.[dev]' -c constraints.txt
	touch $(STAMP)

## the whole loop on the default model; figures in figures/$(RUN)/index.html
demo: $(STAMP)
	$(BIN)/workbench run --name $(RUN)

## the test suite, the default model included; one process a core, whole files each
test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

## what is installed fits together, what is imported is declared, and, where that can be asked, nothing has a known vulnerability
audit: $(STAMP)
	$(BIN)/python -m pip check
	$(BIN)/deptry .
	@if ! $(BIN)/python -c "import pip_audit" 2>/dev/null; then echo "Known vulnerabilities were not looked up: pip-audit is not installed (pip install '.[audit]')."; \
	elif ! $(BIN)/python -c "import urllib.request as u; u.urlopen('https://pypi.org/pypi/pip/json', timeout=10)" 2>/dev/null; then echo "Known vulnerabilities were not looked up: their service cannot be reached from here."; \
	else $(BIN)/python -m pip_audit --local --progress-spinner off; fi

## the documentation as a site in build/site; warnings are errors
docs: $(STAMP)
	$(BIN)/python -m pip install --quiet -e '.[docs]' -c constraints.txt
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
