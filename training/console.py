"""Output of a run: lines of the first process, and progress as a bar on a terminal or a line per minute elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from mvmr_zoo._io import progress_bar

LINE_SECONDS = 60
"""Seconds between two progress lines if standard error is not a terminal."""


def say(text: str, *, error: bool = False) -> None:
    """Print a line in the first process only, to standard error if `error`."""
    from pytorch_lightning.utilities import rank_zero_only  # slow, and not needed to read a command line

    rank_zero_only(print)(text, file=sys.stderr if error else sys.stdout, flush=True)


def terminal() -> Console | None:
    """Standard error, or None if it is not a terminal that can draw bars."""
    console = Console(stderr=True)
    return console if console.is_terminal and not console.is_dumb_terminal else None


@contextmanager
def counted(what: str, first: int) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of the number of finished rows and of all rows, which shows them.

    Args:
        what: Label of the progress.
        first: Number of rows that were finished before.
    """
    if terminal() is not None:
        with progress_bar(what) as update:
            yield update
        return
    began = printed = time.monotonic()

    def line(done: int, total: int) -> None:
        nonlocal printed
        now = time.monotonic()
        if now - printed >= LINE_SECONDS and done < total:
            left = (now - began) * (total - done) / max(1, done - first)
            print(f"{what}: {done:,} of {total:,} rows, {duration(left)} left", flush=True)
            printed = now

    yield line


def duration(seconds: float) -> str:
    """`45 s`, `12 min` or `3.2 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
