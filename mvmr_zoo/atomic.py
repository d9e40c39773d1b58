"""Writing a file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A place beside `path` to write to; it gets its name when the block ends, and goes when the block fails.

    Two processes that write the same file do not meet; the last one's stands.
    """
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        if error.filename == os.fspath(part):
            error.filename = os.fspath(target)  # what its user knows of
        raise
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: str | os.PathLike[str], data: str | bytes) -> None:
    """Write a file, whole or not at all; text as UTF-8, its line ends as they are."""
    with written_whole(path) as part:
        part.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
