"""Swap two files or folders in one step, where the operating system can."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE, _RENAME_SWAP = -100, 2, 2
"""Constants of Linux (`linux/fcntl.h`, `linux/fs.h`) and macOS (`sys/stdio.h`)."""


def exchange(first: Path, second: Path) -> bool:
    """Swap two existing paths of one file system, so that no moment has neither of them.

    Returns:
        False if nothing was changed: the operating system or the file system cannot swap, or there was an error.
    """
    names = os.fsencode(first), os.fsencode(second)
    try:
        libc = ctypes.CDLL(None)
        if hasattr(libc, "renameat2"):  # Linux
            return bool(libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)
        if hasattr(libc, "renamex_np"):  # macOS
            return bool(libc.renamex_np(*names, _RENAME_SWAP) == 0)
    except (OSError, TypeError):  # Windows has no library of the process itself
        return False
    return False
