"""Temporary files and folders that tell whether the process that made them still runs.

The maker holds a lock on them (`flock`), which the system releases when the process ends in any way. A process id would
not do: ids are used again, and a container does not see those of another one.

Their names contain the machine, because a lock may not be visible on another one (NFS). Leftovers of another machine,
and those on a file system without locks, are deleted after a day without changes.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

LOCK_FILE = ".lock"
REPLACED = ".replaced"
"""Subfolder of a scratch folder with the folder that is being replaced, under its own name."""

_MAX_AGE_S = 86_400
_MAX_NAME_BYTES = 200
_OPEN_FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_PART = re.compile(r"\..+\.mvmr-zoo-(?P<machine>[0-9a-f]{8})-[0-9a-f]{16}\.part", re.DOTALL)
_SCRATCH = re.compile(r"\.?mvmr-zoo-scratch-(?:(?P<machine>[0-9a-f]{8})-)?\w+", re.ASCII)
"""The names of earlier versions have no machine."""


class _SweptError(Exception):
    """Another process deleted a new file before it was locked."""


def new_part(target: Path) -> tuple[Path, int | None]:
    """Create an empty temporary file beside `target`. Returns its path and the handle of its lock; see `_claim`."""
    name = target.name.encode("utf-8", "surrogateescape")[:_MAX_NAME_BYTES].decode("utf-8", "ignore")
    while True:
        part = target.with_name(f".{name}.mvmr-zoo-{_machine()}-{secrets.token_hex(8)}.part")
        with suppress(_SweptError):
            return part, _claim(part)


def new_scratch(parent: Path, *, hidden: bool) -> tuple[Path, int | None]:
    """Create a folder that holds only its lock. Returns its path and the handle of the lock; see `_claim`."""
    while True:
        scratch = parent / f"{'.' if hidden else ''}mvmr-zoo-scratch-{_machine()}-{secrets.token_hex(8)}"
        scratch.mkdir(0o700)
        with suppress(_SweptError, FileNotFoundError):  # swept while it was empty
            return scratch, _claim(scratch / LOCK_FILE)


@functools.cache
def _machine() -> str:
    """Eight digits for this machine since its start. Its containers share them, and the locks."""
    try:
        identity = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        identity = platform.node().encode()
    return hashlib.sha256(identity).hexdigest()[:8]


def _claim(path: Path) -> int | None:
    """Create a file that no other process sweeps until the returned handle is closed.

    Returns:
        The handle. None on Windows, where an open file could not be renamed.

    Raises:
        _SweptError: Another process deleted it at once.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    if sys.platform == "win32":
        os.close(handle)
        return None
    try:
        with suppress(OSError):  # no locks on this file system
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink == 0:
            raise _SweptError
    except BaseException:
        os.close(handle)
        raise
    return handle


def sweep_leftovers(folder: Path) -> None:
    """Delete what killed processes left in a folder, and put back folders that they had moved away.

    Only files and folders of the same user are touched. What cannot be deleted stays. Nothing happens on Windows.
    """
    if sys.platform == "win32":
        return
    try:
        found = list(folder.iterdir())
    except (OSError, ValueError):  # it is no folder, or its name has a null character
        return
    for path in found:
        with suppress(OSError):
            if match := _SCRATCH.fullmatch(path.name):
                _sweep_scratch(path, match["machine"])
            elif match := _PART.fullmatch(path.name):
                _sweep_part(path, match["machine"])


def _sweep_part(part: Path, machine: str) -> None:
    handle = os.open(part, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if _is_abandoned(part, handle, machine):
            part.unlink()
    finally:
        os.close(handle)


def _sweep_scratch(scratch: Path, machine: str | None) -> None:
    folder = os.open(scratch, _OPEN_FOLDER)
    try:
        if os.fstat(folder).st_uid != os.geteuid():
            return
        try:
            lock = os.open(LOCK_FILE, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        except FileNotFoundError:
            scratch.rmdir()  # its process was killed before it made the lock, or makes it now and tries again
            return
        try:
            if _is_abandoned(scratch, lock, machine):
                _delete(scratch, folder)
        finally:
            os.close(lock)
    finally:
        os.close(folder)


def _is_abandoned(path: Path, lock: int, machine: str | None) -> bool:
    """Whether a leftover may be deleted. Then this process holds the lock, if the file system has locks."""
    if sys.platform == "win32":
        return False
    facts = os.fstat(lock)
    if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid():
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return _is_old(path)
    return machine == _machine() or _is_old(path)


def _is_old(path: Path) -> bool:
    """Whether nothing in a file or folder has changed for a day."""
    newest = path.lstat().st_mtime
    for each in path.rglob("*"):
        newest = max(newest, each.lstat().st_mtime)
    return time.time() - newest > _MAX_AGE_S


def delete_scratch(scratch: Path) -> None:
    """Put the replaced folder back if nothing took its place, then delete a scratch folder of this process.

    Raises:
        OSError: Something cannot be moved or deleted. The rest, with the lock, is left for the next sweep.
    """
    if sys.platform == "win32":
        for replaced in (scratch / REPLACED).glob("*"):
            if not os.path.lexists(scratch.parent / replaced.name):
                replaced.rename(scratch.parent / replaced.name)
        shutil.rmtree(scratch)
        return
    folder = os.open(scratch, _OPEN_FOLDER)
    try:
        _delete(scratch, folder)
    finally:
        os.close(folder)


def _delete(scratch: Path, folder: int) -> None:
    """Restore, then delete. The handle of the folder is used, because another user may replace the path by a link."""
    names = os.listdir(folder)
    if REPLACED in names:
        for replaced in (scratch / REPLACED).iterdir():
            if not os.path.lexists(scratch.parent / replaced.name):
                replaced.rename(scratch.parent / replaced.name)
    for name in names:
        if name == LOCK_FILE:
            continue
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            shutil.rmtree(name, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)
    if LOCK_FILE in names:
        os.unlink(LOCK_FILE, dir_fd=folder)  # last, so that a killed deletion can be finished
    scratch.rmdir()
