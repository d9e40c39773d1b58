"""Parts of all pictures of an evaluation: text color, shortened names, atomic PNG files."""

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
    """Shorten a name in its middle until its length is at most `room`. The result is one line."""
    name = printable(name)
    shown, kept = name, len(name)
    while length(shown) > room and kept > 2:
        kept -= 1
        shown = name[: kept // 2] + "…" + name[-(kept - kept // 2) :]
    return shown


@contextmanager
def png_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path for a PNG file, which is renamed at the end of the block. Creates the folder."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(target) as part:
        yield part
