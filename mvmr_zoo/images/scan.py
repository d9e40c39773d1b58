"""What lies in a folder. Paths are bytes: a file name need not be text."""

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
    """What tells that a file did not change: its size in bytes and its mtime in nanoseconds."""

    size: int
    mtime_ns: int


class FailureRow(NamedTuple):
    """A photo that could not be indexed, and why."""

    path: bytes
    stage: str
    reason: str


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


@dataclass(frozen=True)
class Globs:
    """Which photos to take, as the shell writes names: `*`, `?`, `[...]`.

    A pattern without `/` is compared with the file's name, and with that of every folder on the way to it; one with
    `/` with the path below the folder that is searched, where `*` goes through subfolders too.

    Args:
        include: take only these; empty takes all.
        exclude: leave these out, with all that lies below.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, below: bytes) -> bool:
        """Whether a photo is taken, by its path below the folder that is searched."""
        return (not self.include or _match(self.include, below)) and not self.leaves_out(below)

    def leaves_out(self, below: bytes) -> bool:
        """Whether a file or folder is left out, by its path below the folder that is searched."""
        return _match(self.exclude, below)


EVERYTHING = Globs()


def absolute(folder: str | os.PathLike[str]) -> bytes:
    """The path of a folder that is added, links resolved."""
    return os.fsencode(os.path.realpath(os.path.expanduser(folder)))


def names_of(folder: str | os.PathLike[str]) -> set[bytes]:
    """What the photos of a folder may begin with: its path with links resolved, and as it is, reached by a link."""
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
    """Every photo below a folder; links to folders are followed once, hidden folders are not.

    Args:
        folder: an absolute path.
        globs: which photos to take.
    """
    first = len(folder.rstrip(b"/")) + 1
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
                    if not entry.name.startswith(b".") and not globs.leaves_out(entry.path[first:]):
                        _look_at(entry, found, waiting)
        except OSError as error:
            found.unreadable.append(FailureRow(current, "open", f"folder cannot be read: {error.strerror}"))
    if globs.include:
        taken = {path: stamp for path, stamp in found.photos.items() if globs.takes(path[first:])}
        return Scan(taken, found.unreadable)
    return found


def _look_at(entry: os.DirEntry[bytes], found: Scan, waiting: list[bytes]) -> None:
    try:
        if entry.is_dir():
            waiting.append(entry.path)
        elif entry.name.lower().endswith(_SUFFIXES):
            if (stamp := stamp_of(entry.stat())) is not None:
                found.photos[entry.path] = stamp
    except OSError as error:
        found.unreadable.append(FailureRow(entry.path, "open", f"cannot be looked at: {error.strerror}"))


def stamp_of(facts: os.stat_result) -> Stamp | None:
    """The stamp of a file, or None if it is not a regular file."""
    return Stamp(facts.st_size, _wrapped(facts.st_mtime_ns)) if stat.S_ISREG(facts.st_mode) else None


def _wrapped(nanoseconds: int) -> int:
    """A time as 64 bits: one later than 2262 is still told from another, which is all that a stamp is for."""
    return (nanoseconds + _HALF) % (2 * _HALF) - _HALF
