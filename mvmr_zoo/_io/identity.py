"""Notice that a file or folder was deleted or replaced while it was in use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Identity(NamedTuple):
    """What stays the same when a file or folder changes or is renamed, and differs for another one of its name."""

    device: int
    inode: int


def identity_of(path: Path) -> Identity | None:
    """Identity of the file or folder that has a path now. None if there is none."""
    try:
        facts = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Identity(facts.st_dev, facts.st_ino)
