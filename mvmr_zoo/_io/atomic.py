"""Atomic writes of files and folders."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

ABANDONED_S = 3600
"""Age in seconds after which temporary files and folders are considered abandoned by a killed process."""

_SCRATCH = ".mvmr-zoo-scratch-"
_LOCK = ".lock"


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to `path` when the block ends, and deleted if the block fails.

    Processes that write the same file do not interfere. The last one wins.
    """
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        if error.filename in (None, os.fspath(part)):
            error.filename = os.fspath(target)  # the path that the caller gave
        raise
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """An empty folder in `parent`, deleted when the block ends.

    Creates `parent` if it is missing, and deletes it again if it stays empty. Also deletes folders of killed processes:
    those that are not locked and have not changed for an hour.
    """
    created = [path for path in (parent, *parent.parents) if not path.exists()]
    parent.mkdir(parents=True, exist_ok=True)
    for other in parent.glob(f"{_SCRATCH}*"):
        if is_abandoned(other) and not _is_held(other):
            shutil.rmtree(other, ignore_errors=True)
    try:
        with tempfile.TemporaryDirectory(dir=parent, prefix=_SCRATCH) as folder, FileLock(Path(folder) / _LOCK):
            yield Path(folder)
    except OSError as error:
        error.filename = error.filename or os.fspath(parent)
        raise
    finally:
        with suppress(OSError):  # not empty: it holds the output
            for path in created:
                path.rmdir()


def _is_held(scratch: Path) -> bool:
    """Whether a process still locks a scratch folder."""
    lock = FileLock(scratch / _LOCK)
    try:
        with lock.acquire(timeout=0):
            return False
    except (Timeout, OSError):
        return True


def is_abandoned(path: Path) -> bool:
    """Whether a file or folder has not changed for an hour."""
    try:
        return time.time() - path.stat().st_mtime > ABANDONED_S
    except OSError:  # deleted in the meantime
        return False


def write_whole(path: str | os.PathLike[str], data: str | bytes) -> None:
    """Write a file atomically. Text is encoded as UTF-8, and line endings are kept."""
    with written_whole(path) as part:
        part.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)


def replace_folder(work: Path, base: Path) -> None:
    """Rename a finished folder to `base`. An existing `base` moves beside `work`, or is restored if renaming fails."""
    replaced = work.with_name(f".{work.name}.replaced")
    if base.exists():
        base.rename(replaced)
    try:
        work.rename(base)
    except OSError:
        if replaced.exists():
            replaced.rename(base)
        raise
