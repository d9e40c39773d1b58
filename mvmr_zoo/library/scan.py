"""What lies in a folder. Paths are bytes: a file name need not be text."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from mvmr_zoo.images import SUFFIXES
from mvmr_zoo.library.store import FailureRow, Stamp

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
                    if entry.name.startswith(b"."):
                        continue
                    if entry.is_dir():
                        waiting.append(entry.path)
                    elif entry.name.lower().endswith(_SUFFIXES):
                        _add(found, entry)
        except OSError as error:
            found.unreadable.append(FailureRow(current, "open", f"folder cannot be read: {error.strerror}"))
    return found


def _add(found: Scan, entry: os.DirEntry[bytes]) -> None:
    try:
        facts = entry.stat()
    except OSError as error:
        found.unreadable.append(FailureRow(entry.path, "open", f"cannot be looked at: {error.strerror}"))
        return
    found.photos[entry.path] = Stamp(facts.st_size, facts.st_mtime_ns)
