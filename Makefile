# Two commands: `make quickstart` shows the main job, `make test` checks everything.
# Each makes the venv it needs, once. Needs Python >= 3.11 with pip.

PYTHON ?= python3
PIP := -m pip install --disable-pip-version-check --quiet

.PHONY: quickstart test check lint types wheel clean

quickstart: .venv-quickstart/.done
	@.venv-quickstart/bin/mvmr-zoo quickstart

# A worker a core, each computing in one thread: most tests do not keep more than one busy.
test: .venv/.done
	@OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto --maxprocesses 4 --dist worksteal

check: lint types test

lint: .venv/.done
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .

types: .venv/.done
	@.venv/bin/mypy

wheel: .venv/.done
	@.venv/bin/python -m build --wheel

clean:
	rm -rf .venv .venv-quickstart mvmr-quickstart dist

.venv-quickstart/.done: pyproject.toml
	@echo "Making .venv-quickstart: ONNX Runtime and FAISS, no PyTorch. Once, about a minute."
	@$(PYTHON) -m venv .venv-quickstart
	@.venv-quickstart/bin/python $(PIP) -e '.[runtime,samples]'
	@touch $@

.venv/.done: pyproject.toml
	@echo "Making .venv: everything the tests need, PyTorch included. Once, some minutes."
	@$(PYTHON) -m venv .venv
	@.venv/bin/python $(PIP) -e '.[cpu,train,teachers,fetch,demo,plots,ray,dev]'
	@touch $@
