"""What a run prints: lines of the first process, and a bar on a terminal or a line a minute elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pytorch_lightning.utilities import rank_zero_only
from rich.console import Console

from mvmr_zoo.progress import progress_bar

LINE_SECONDS = 60
"""Seconds between two lines where standard error is not a terminal."""


@rank_zero_only
def say(text: str, *, error: bool = False) -> None:
    """Print a line on the first of several processes, on standard error where `error` is true."""
    print(text, file=sys.stderr if error else sys.stdout, flush=True)


def terminal() -> Console | None:
    """Standard error, where it is a terminal that bars can be drawn on."""
    console = Console(stderr=True)
    return console if console.is_terminal and not console.is_dumb_terminal else None


@contextmanager
def counted(what: str, first: int) -> Iterator[Callable[[int, int], None]]:
    """Gives a function of rows done and rows to do, which shows them.

    Args:
        what: Is counted.
        first: Rows that were done before.
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
