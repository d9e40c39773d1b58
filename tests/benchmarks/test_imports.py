"""Every benchmark imports only names that exist. Some compare with packages that the tests do not install."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py"))
NOT_INSTALLED = {"autofaiss_peer": "autofaiss"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_benchmark_can_be_imported(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if script in NOT_INSTALLED:
        pytest.importorskip(NOT_INSTALLED[script])
    monkeypatch.syspath_prepend(str(FOLDER))  # scripts import one another
    importlib.import_module(f"benchmarks.{script}")
