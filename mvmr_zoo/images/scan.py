"""Find the photos in a folder. Paths are bytes, because file names may be invalid UTF-8."""

from __future__ import annotations

import fnmatch
import os
import stat
from dataclasses import dataclass, field
from typing import NamedTuple

from mvmr_zoo.images.decode import SUFFIXES

_HALF = 2**63  # SQLite holds 64 bits, nanoseconds from 1677 to 2262
_SUFFIXES = tuple(suffix.encode() for suffix in SUFFIXES)


class Stamp(NamedTuple):
    """Size in bytes and mtime in nanoseconds of a file, to detect changes."""

    size: int
    mtime_ns: int


class FailureRow(NamedTuple):
    """A photo that could not be indexed, and why."""

    path: bytes
    stage: str
    reason: str


@dataclass(frozen=True)
class Scan:
    """Result of scanning a folder.

    Args:
        photos: The stamp of every file with the suffix of a photo, by absolute path.
        unreadable: Folders and files that could not be read.
    """

    photos: dict[bytes, Stamp] = field(default_factory=dict)
    unreadable: list[FailureRow] = field(default_factory=list)

    def may_hide(self, path: bytes) -> bool:
        """Whether `path` is in an unreadable folder, so that it may still exist."""
        return any(path == row.path or path.startswith(row.path + b"/") for row in self.unreadable)


@dataclass(frozen=True)
class Globs:
    """Shell patterns (`*`, `?`, `[...]`) that select photos.

    A pattern without `/` is compared with the name of the file and of every folder above it. A pattern with `/` is
    compared with the path relative to the scanned folder, where `*` also matches `/`.

    Args:
        include: Select only these photos; empty selects all.
        exclude: Skip these files and folders.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, below: bytes) -> bool:
        """Whether a photo is selected if it is not skipped, by its path relative to the scanned folder."""
        return not self.include or _match(self.include, below)

    def leaves_out(self, below: bytes) -> bool:
        """Whether a file or folder is skipped, by its path relative to the scanned folder."""
        return _match(self.exclude, below)


EVERYTHING = Globs()


def absolute(folder: str | os.PathLike[str]) -> bytes:
    """The absolute path of a folder, with links resolved."""
    return os.fsencode(os.path.realpath(os.path.expanduser(folder)))


def names_of(folder: str | os.PathLike[str]) -> set[bytes]:
    """Absolute paths of a folder, with links resolved and unresolved. Paths of its photos begin with one of them."""
    as_it_is = os.path.abspath(os.path.expanduser(folder))  # noqa: PTH100  Path.resolve follows links
    return {absolute(folder), os.fsencode(as_it_is)}


def _match(patterns: tuple[str, ...], below: bytes) -> bool:
    path = os.fsdecode(below)
    names = path.split("/")
    return any(
        fnmatch.fnmatchcase(path, pattern)
        if "/" in pattern
        else any(fnmatch.fnmatchcase(name, pattern) for name in names)
        for pattern in patterns
    )


def scan_folder(folder: bytes, globs: Globs = EVERYTHING) -> Scan:
    """Find every photo below a folder. Links to folders are followed once; hidden folders are skipped.

    Args:
        folder: An absolute path.
        globs: Photos to select.
    """
    first = len(folder.rstrip(b"/")) + 1
    scan = Scan()
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
                    if entry.name.startswith(b".") or globs.leaves_out(entry.path[first:]):
                        continue
                    match _read_entry(entry):
                        case bytes(subfolder):
                            waiting.append(subfolder)
                        case Stamp() as stamp if globs.takes(entry.path[first:]):
                            scan.photos[entry.path] = stamp
                        case FailureRow() as failure:
                            scan.unreadable.append(failure)
        except OSError as error:
            scan.unreadable.append(FailureRow(current, "open", f"folder cannot be read: {error.strerror}"))
    return scan


def _read_entry(entry: os.DirEntry[bytes]) -> bytes | Stamp | FailureRow | None:
    """The path of a subfolder, the stamp of a photo, an error, or None for any other file."""
    try:
        if entry.is_dir():
            return entry.path
        return stamp_of(entry.stat()) if entry.name.lower().endswith(_SUFFIXES) else None
    except OSError as error:
        return FailureRow(entry.path, "open", f"cannot be accessed: {error.strerror}")


def stamp_of(facts: os.stat_result) -> Stamp | None:
    """The stamp of a file, or None if it is not a regular file."""
    return Stamp(facts.st_size, _wrapped(facts.st_mtime_ns)) if stat.S_ISREG(facts.st_mode) else None


def _wrapped(nanoseconds: int) -> int:
    """A time wrapped to 64 bits, so that different times after the year 2262 still differ."""
    return (nanoseconds + _HALF) % (2 * _HALF) - _HALF
