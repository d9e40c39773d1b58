"""Open a file that may be anything: only regular files are read, because a pipe or a device can block forever."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import TypeVar

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Without O_NONBLOCK, opening a pipe waits for a writer."""


_Path = TypeVar("_Path", str, bytes, Path)


def open_regular(path: str | bytes | os.PathLike[str]) -> BufferedReader:
    """Open a regular file for reading.

    Raises:
        OSError: The file cannot be opened, or it is a folder, a pipe, a socket or a device.
    """
    handle = os.open(path, _FLAGS)
    try:
        _check_mode(os.fstat(handle).st_mode, path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: str | bytes | os.PathLike[str]) -> bytes:
    """The bytes of a regular file. Raises the errors of `open_regular`."""
    with open_regular(path) as file:
        return file.read()


def check_regular(path: _Path) -> _Path:
    """Return a path if it is a regular file, for a library that opens the file itself. The file is not opened.

    Raises:
        OSError: The file does not exist, or it is a folder, a pipe, a socket or a device.
    """
    _check_mode(os.stat(path).st_mode, path)
    return path


def _check_mode(mode: int, path: str | bytes | os.PathLike[str]) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is not a regular file", os.fspath(path))
