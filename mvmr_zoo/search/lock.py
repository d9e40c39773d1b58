"""One writer at a time: who changes a library holds its lock, and another command is told who that is."""

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

from mvmr_zoo.errors import LibraryBusyError, LibraryError, printable

LOCK_FILE = ".lock"
HOLDER_FILE = ".writer"

PATIENCE_S = 10.0


@contextmanager
def writing(folder: Path, *, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Nobody else changes the library until the block ends; searching goes on. A killed process holds nothing.

    Args:
        folder: of the library.
        patience_s: how long to wait for another command.

    Raises:
        LibraryBusyError: another command changes the library all the time.
        LibraryError: the lock cannot be written.
    """
    lock, holder = FileLock(folder / LOCK_FILE), folder / HOLDER_FILE
    try:
        lock.acquire(timeout=patience_s)
    except Timeout:
        raise LibraryBusyError(
            f"The library {folder} is being changed by {_holder(holder)}. "
            "Searching works meanwhile; run this command again when the other has finished."
        ) from None
    except OSError as error:
        raise LibraryError(
            f"{folder / LOCK_FILE} cannot be written ({error.strerror}), so {folder} cannot be changed. "
            "Give another --library, or one that may be written."
        ) from None
    try:
        with suppress(OSError):  # it only tells others who we are
            holder.write_text(_myself(), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def _myself() -> str:
    command = printable(shlex.join([Path(sys.argv[0]).name.replace("-c", "python"), *sys.argv[1:]]))
    return json.dumps({"pid": os.getpid(), "command": command, "since": datetime.now().isoformat(" ", "seconds")})


def _holder(path: Path) -> str:
    """Who holds the lock, in words."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return f"process {facts['pid']} (`{facts['command']}`, since {facts['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another command"
