"""What lies in a folder. Paths are bytes: a file name need not be text."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field

from mvmr_zoo.images import SUFFIXES
from mvmr_zoo.library.rows import FailureRow, Stamp

_LATEST_NS = 2**63 - 1  # what SQLite holds: the year 2262
_SUFFIXES = tuple(suffix.encode() for suffix in SUFFIXES)


@dataclass(frozen=True)
class Scan:
    """Args:
    photos: the stamp of every file that is named like a photo, by absolute path.
    unreadable: folders and files that could not be looked at.
    """

    photos: dict[bytes, Stamp] = field(default_factory=dict)
    unreadable: list[FailureRow] = field(default_factory=list)

    def may_hide(self, path: bytes) -> bool:
        """Whether `path` lies in a folder that could not be looked at, so that it may still be there."""
        return any(path == row.path or path.startswith(row.path + b"/") for row in self.unreadable)


def scan_folder(folder: bytes) -> Scan:
    """Every photo below a folder; links to folders are followed once, hidden folders are not.

    Args:
        folder: an absolute path.
    """
    found = Scan()
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            facts = os.stat(current)
            if (facts.st_dev, facts.st_ino) in seen:
                continue
            seen.add((facts.st_dev, facts.st_ino))
            with os.scandir(current) as entries:
                for entry in entries:
                    if not entry.name.startswith(b"."):
                        _look_at(entry, found, waiting)
        except OSError as error:
            found.unreadable.append(FailureRow(current, "open", f"folder cannot be read: {error.strerror}"))
    return found


def _look_at(entry: os.DirEntry[bytes], found: Scan, waiting: list[bytes]) -> None:
    try:
        if entry.is_dir():
            waiting.append(entry.path)
        elif entry.name.lower().endswith(_SUFFIXES):
            facts = entry.stat()
            if stat.S_ISREG(facts.st_mode):
                found.photos[entry.path] = Stamp(facts.st_size, min(facts.st_mtime_ns, _LATEST_NS))
    except OSError as error:
        found.unreadable.append(FailureRow(entry.path, "open", f"cannot be looked at: {error.strerror}"))
