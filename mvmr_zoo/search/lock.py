"""Lock that allows one writer at a time. Other writers get an error that names the process with the lock."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from mvmr_zoo._io import read_regular, write_whole
from mvmr_zoo.errors import LibraryBusyError, LibraryError, printable

LOCK_FILE = ".lock"
HOLDER_FILE = ".writer"

PATIENCE_S = 10.0


@contextmanager
def writing(folder: Path, *, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Hold the write lock of a library during the block. Searches need no lock. A killed process releases it.

    Args:
        folder: Library folder.
        patience_s: How long to wait for another writer, in seconds.

    Raises:
        LibraryBusyError: Another process held the lock for the whole time.
        LibraryError: The lock file cannot be written.
    """
    lock, holder = FileLock(folder / LOCK_FILE), folder / HOLDER_FILE
    try:
        lock.acquire(timeout=patience_s)
    except Timeout:
        raise LibraryBusyError(
            f"The library {folder} is being changed by {_describe_holder(holder)}. "
            "You can search in the meantime. Run this command again when the other one has finished."
        ) from None
    except OSError as error:
        raise LibraryError(
            f"{folder / LOCK_FILE} cannot be written ({error.strerror}), so the library {folder} cannot be changed. "
            "Use another --library, or make this one writable."
        ) from None
    try:
        with suppress(OSError):  # the file is only informative
            write_whole(holder, _holder_record())
        yield
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def _holder_record() -> str:
    """JSON with the process id, command line and start time of this process."""
    command = printable(shlex.join([Path(sys.argv[0]).name.replace("-c", "python"), *sys.argv[1:]]))
    return json.dumps({"pid": os.getpid(), "command": command, "since": datetime.now().isoformat(" ", "seconds")})


def _describe_holder(path: Path) -> str:
    """Describe the process that holds the lock."""
    try:
        facts = json.loads(read_regular(path))
        return f"process {facts['pid']} (`{facts['command']}`, since {facts['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another command"
