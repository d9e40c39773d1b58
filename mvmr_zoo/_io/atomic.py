"""Writing a file whole or not at all."""

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
"""What has not changed for so long belongs to a process that was killed."""

_SCRATCH = ".mvmr-zoo-scratch-"
_LOCK = ".lock"


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A place beside `path` to write to; it gets its name when the block ends, and goes when the block fails.

    Two processes that write the same file do not meet; the last one's stands.
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
            error.filename = os.fspath(target)  # what its user knows of
        raise
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """An empty folder in `parent`; it goes when the block ends.

    `parent` is made where it is missing, and goes too where nothing was put there. Folders that killed processes
    left go as well: nobody holds their lock, and they are an hour old.
    """
    made = [each for each in (parent, *parent.parents) if not each.exists()]
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{_SCRATCH}*"):
        if is_abandoned(left) and not _is_held(left):
            shutil.rmtree(left, ignore_errors=True)
    try:
        with tempfile.TemporaryDirectory(dir=parent, prefix=_SCRATCH) as folder, FileLock(Path(folder) / _LOCK):
            yield Path(folder)
    except OSError as error:
        error.filename = error.filename or os.fspath(parent)
        raise
    finally:
        with suppress(OSError):  # not empty: what was to be written stands there
            for each in made:
                each.rmdir()


def _is_held(scratch: Path) -> bool:
    """Whether a process still works in a scratch folder."""
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
    except OSError:  # gone in the meantime
        return False


def write_whole(path: str | os.PathLike[str], data: str | bytes) -> None:
    """Write a file, whole or not at all; text as UTF-8, its line ends as they are."""
    with written_whole(path) as part:
        part.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)


def replace_folder(work: Path, base: Path) -> None:
    """Rename a finished folder to `base`; one that stands there goes where `work` was, or stays when that fails."""
    replaced = work.with_name(f".{work.name}.replaced")
    if base.exists():
        base.rename(replaced)
    try:
        work.rename(base)
    except OSError:
        if replaced.exists():
            replaced.rename(base)
        raise
