"""`mvmr-zoo` and `mvmr-export` as people type them: in a process of their own, or by what their scripts call here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .environment import clean_environment
from .forked import LIGHT, run_forked

Typed = Callable[..., subprocess.CompletedProcess[str]]
"""A console script that takes its words and runs in this process."""


def run(
    *arguments: object,
    home: Path,
    module: str = "mvmr_zoo.cli",
    preloaded: tuple[str, ...] = LIGHT,
    cwd: Path | None = None,
    **options: object,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own: a fork, or what `subprocess.run` starts if it is to have more options."""
    words = ["-m", module, *map(str, arguments)]
    environment = clean_environment(home, COLUMNS="200")
    if not options:
        return run_forked(words, environment, preloaded, cwd=cwd)
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, env=environment, cwd=cwd, **options)


class Typist:
    """Calls a console script's function in this process: what is imported already need not be again.

    Args:
        patch: sets the arguments and the environment.
        output: catches what is printed.
    """

    def __init__(self, patch: pytest.MonkeyPatch, output: pytest.CaptureFixture[str]) -> None:
        self.patch, self.output = patch, output

    def __call__(self, main: Callable[[], None], name: str, *words: object) -> subprocess.CompletedProcess[str]:
        arguments = [name, *map(str, words)]
        self.patch.setattr(sys, "argv", arguments)
        self.output.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        return subprocess.CompletedProcess(arguments, caught.value.code, *self.output.readouterr())


def refused(done: subprocess.CompletedProcess[str], message: str) -> None:
    """Exit code 2, one line, no traceback."""
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("Error: ")
