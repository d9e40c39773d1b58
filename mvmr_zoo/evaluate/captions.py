"""What every picture of an evaluation shares: its ink, names that fit, a file written whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mvmr_zoo._io import written_whole
from mvmr_zoo.errors import printable

INK = "#1a1a1a"
_NAME_CHARACTERS = 22


def short(name: str, room: float = _NAME_CHARACTERS, length: Callable[[str], float] = len) -> str:
    """A name on one line, its middle left out until its length is no more than `room`."""
    name = printable(name)
    shown, kept = name, len(name)
    while length(shown) > room and kept > 2:
        kept -= 1
        shown = name[: kept // 2] + "…" + name[-(kept - kept // 2) :]
    return shown


@contextmanager
def png_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A place to write a PNG file to, in a folder that is made; it gets its name when it is whole."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(target) as part:
        yield part
