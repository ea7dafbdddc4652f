# Two commands do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
DEMO_RUNS ?= demo
PYTEST_ARGS ?=

.PHONY: help demo study test test-oldest test-pythons lint install test-tools mmdet test-mmdet clean

help:
	@echo "make demo        the component ablation at toy size: train, score, measure, report"
	@echo "make study       the studies of docs/results: five seeds, an hour on two cores"
	@echo "make test        install what the tests need, lint, type-check, run them all"
	@echo "make test-oldest the tests that depend on versions, with the oldest libraries of setup.cfg"
	@echo "make test-pythons  the same with every newer Python on this machine, newest libraries"
	@echo "make install     a virtual environment in $(VENV) with the command tevit"
	@echo "make mmdet       a second environment with mmdet 2.28.2 (compiles mmcv-full: 10 minutes or more)"
	@echo "make test-mmdet  compare our modules and our speed with mmdet's"

$(BIN)/tevit: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/tested: $(BIN)/tevit
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test]"
	@touch $@

install: $(BIN)/tevit

demo: install
	@export TEVIT_RUNS=$(DEMO_RUNS); status=0; \
	$(BIN)/tevit launch components --scale tiny --executor local --jobs 2 --wait || status=$$?; \
	$(BIN)/tevit report components --scale tiny || status=$$?; \
	if [ $$status -ne 0 ]; then \
		echo "the demo is not complete: the tables above say what is missing," \
			"make demo again does only that" >&2; \
	fi; \
	exit $$status

# where time belongs to the instance, and where it belongs to the frame
study: install
	@for grid in blinking light; do \
		$(BIN)/tevit launch docs/results/$$grid.yaml --executor local --jobs 2 --wait \
		&& $(BIN)/tevit report $$grid || exit 1; \
	done

# what the tests need beside Python: a real SLURM for the launcher's, LaTeX for the tables', a
# browser for the page's.  Debian's packages, as root; elsewhere those tests skip and say so
test-tools: $(VENV)/tested
	@$(BIN)/python tests/system_packages.py

lint: $(VENV)/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: test-tools lint
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# what setup.cfg promises is tested: both ends of every range of versions
test-oldest: $(VENV)/tested
	PATH="$(abspath $(BIN)):$$PATH" tools/test_versions.sh .venv-oldest $(PYTHON) lowest-direct

# pyenv hides all Pythons but the chosen ones: here each of its counts
test-pythons: $(VENV)/tested
	@export PYENV_VERSION="$${PYENV_VERSION-$$(pyenv versions --bare 2>/dev/null | paste -sd:)}"; \
	for python in 3.12 3.13 3.14; do \
		if UV_PYTHON_DOWNLOADS=never $(BIN)/uv python find -q $$python >/dev/null 2>&1; then \
			PATH="$(abspath $(BIN)):$$PATH" tools/test_versions.sh .venv-$$python $$python highest || exit 1; \
		else \
			echo "no Python $$python on this machine: not tested"; \
		fi; \
	done

# mmdet pins old setuptools and takes minutes to build, so it has an environment of its own
.venv-mmdet/built: setup.cfg tools/install_mmdet.sh
	$(PYTHON) -m venv .venv-mmdet
	.venv-mmdet/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[test]"
	tools/install_mmdet.sh .venv-mmdet/bin/python
	@touch $@

mmdet: .venv-mmdet/built

test-mmdet: .venv-mmdet/built
	tools/test_mmdet.sh .venv-mmdet/bin/python

clean:
	rm -rf $(VENV) .venv-* .pytest_cache .mypy_cache .ruff_cache .hypothesis
