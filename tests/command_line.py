"""`mvmr-zoo` as people type it, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .environment import clean_environment


def run(*arguments: object, home: Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mvmr_zoo.cli", *map(str, arguments)],
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
