"""Atomic writes of files and folders."""

from __future__ import annotations

import functools
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mvmr_zoo._io.exchange import exchange
from mvmr_zoo._io.leftovers import REPLACED, delete_scratch, new_part, new_scratch, sweep_leftovers
from mvmr_zoo._io.regular_file import check_regular

ABANDONED_S = 3600
"""Age in seconds after which a partial file of another program is considered abandoned."""


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """An empty temporary file beside `path`, renamed to `path` when the block ends, and deleted if the block fails.

    Processes that write the same file do not interfere. The last one wins. The first call for a folder deletes the
    temporary files that killed processes left there.

    Raises:
        OSError: The file cannot be written, or `path` is a folder, a pipe, a socket or a device.
    """
    target = Path(path)
    with suppress(FileNotFoundError):
        check_regular(target)  # root would replace /dev/null by a file
    _sweep_once(target.parent.absolute())
    part, handle = None, None
    try:
        part, handle = new_part(target)
        yield part
        _flush(part)
        part.replace(target)
    except OSError as error:
        if part is None or error.filename in (None, os.fspath(part)):
            error.strerror = error.strerror or str(error)  # libraries raise it with a message only
            error.filename = os.fspath(target)  # the path that the caller gave
        raise
    finally:
        if part is not None:
            with suppress(OSError):
                part.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)


def _flush(file: Path) -> None:
    """Write a file to the disk. Otherwise a power failure could keep a rename and lose the content."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


@functools.lru_cache(maxsize=1024)
def _sweep_once(folder: Path) -> None:
    """Sweep a folder, once per process: it may have very many files."""
    sweep_leftovers(folder)


@contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """An empty folder in `parent`, deleted when the block ends.

    Creates `parent` if it is missing, and deletes it again if it stays empty. Also deletes what killed processes left
    in `parent`; see `sweep_leftovers`.

    Args:
        parent: None is the temporary folder of the system, where the scratch folder is not hidden.
    """
    place = Path(tempfile.gettempdir()) if parent is None else parent
    created = [path for path in (place, *place.parents) if not path.exists()]
    try:
        place.mkdir(parents=True, exist_ok=True)
        sweep_leftovers(place)
        scratch, handle = new_scratch(place, hidden=parent is not None)
        try:
            yield scratch
        finally:
            with suppress(OSError):  # the next sweep tries again
                delete_scratch(scratch)
            if handle is not None:
                os.close(handle)
    except OSError as error:
        error.filename = error.filename or os.fspath(place)
        raise
    finally:
        with suppress(OSError):  # not empty: it holds the output
            for path in created:
                path.rmdir()


def is_abandoned(path: Path) -> bool:
    """Whether a file of another program has not changed for an hour."""
    try:
        return time.time() - path.stat().st_mtime > ABANDONED_S
    except OSError:  # deleted in the meantime
        return False


def write_whole(path: str | os.PathLike[str], data: str | bytes) -> None:
    """Write a file atomically. Text is encoded as UTF-8, and line endings are kept."""
    with written_whole(path) as part:
        part.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)


def replace_folder(work: Path, base: Path) -> None:
    """Move a finished folder to `base`, in one step where the system can. The old `base` is deleted with the scratch.

    Without such a step, `base` is missing for a moment. If the process is killed then, the next sweep puts the old one
    back.

    Args:
        work: Finished folder in a folder of `scratch_folder(base.parent)`.
        base: Destination.
    """
    for path in work.rglob("*"):
        if path.is_file():
            _flush(path)
    if not os.path.lexists(base):
        work.rename(base)
    elif not exchange(work, base):
        replaced = work.with_name(REPLACED)
        replaced.mkdir()
        base.rename(replaced / base.name)
        work.rename(base)  # if this fails, the end of the scratch folder restores `base`
