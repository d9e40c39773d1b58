# Two commands: `make quickstart` shows the main job, `make test` checks everything.
# Each makes the venv it needs, once. Needs Python >= 3.11 with pip.

PYTHON ?= python3
PIP := -m pip install --disable-pip-version-check --quiet

.PHONY: quickstart test browser screenshots check lint types docs wheel clean

quickstart: .venv-quickstart/.done
	@.venv-quickstart/bin/mvmr-zoo quickstart

# One worker more than cores, up to five, each computing in one thread. Tests that wait for a process leave a core idle.
test: .venv/.done browser
	@OMP_NUM_THREADS=1 .venv/bin/python -m pytest --dist worksteal \
	  -n $$(.venv/bin/python -c 'import os; print(min(5, os.cpu_count() + 1))')

# The page is tested in a real browser. Without root it is not installed, and those tests are skipped.
browser:
	@if ! (command -v chromium || command -v google-chrome) >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing Chromium, once."; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null \
	    || echo "It could not be installed: the page's tests are skipped."; \
	fi

# Pictures of the page for the documentation.
screenshots: .venv/.done browser
	@MVMR_SCREENSHOTS=docs/screenshots .venv/bin/python -m pytest -q tests/demo/test_page.py

check: lint types docs test

lint: .venv/.done
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .

types: .venv/.done
	@.venv/bin/mypy

# The documentation site in site/: guides, and references generated from docstrings and --help. Broken links fail.
docs: .venv/.done
	@.venv/bin/python docs/reference/generate.py --check
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --quiet

wheel: .venv/.done
	@.venv/bin/python -m build --wheel

clean:
	rm -rf .venv .venv-quickstart mvmr-quickstart dist site

.venv-quickstart/.done: pyproject.toml
	@echo "Making .venv-quickstart: ONNX Runtime and FAISS, no PyTorch. Once, about a minute."
	@$(PYTHON) -m venv .venv-quickstart
	@.venv-quickstart/bin/python $(PIP) -e '.[runtime,samples]'
	@touch $@

.venv/.done: pyproject.toml
	@echo "Making .venv: everything the tests need, PyTorch included. Once, some minutes."
	@$(PYTHON) -m venv .venv
	@.venv/bin/python $(PIP) -e '.[cpu,train,teachers,fetch,demo,plots,ray,dev]'
	@.venv/bin/python -c 'import dcor' # compiles and caches on the first import, where two test workers at once crashed
	@touch $@
