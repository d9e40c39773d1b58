"""`mvmr-zoo` and `mvmr-export` as people type them, in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .environment import clean_environment


def run(
    *arguments: object, home: Path, module: str = "mvmr_zoo.cli", **options: object
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=clean_environment(home, COLUMNS="200"),
        **options,
    )


def refused(done: subprocess.CompletedProcess[str], message: str) -> None:
    """Exit code 2, one line, no traceback."""
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("Error: ")
