"""What the store remembers: a row a photo, a row a failure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Stamp(NamedTuple):
    """What tells that a file did not change: its size in bytes and its mtime in nanoseconds."""

    size: int
    mtime_ns: int


@dataclass(frozen=True, kw_only=True)
class PhotoRow:
    """A photo as the library remembers it.

    Args:
        root: the folder it was added under, as bytes.
        path: its absolute path, as bytes.
        stamp: of its file.
        content: 32 bytes, SHA-256 of its file.
        taken: EXIF date as `YYYY-MM-DD HH:MM:SS`, or None.
        width: upright, in pixels.
        height: upright, in pixels.
        vector: `(D,)` float16, unit length.
    """

    root: bytes
    path: bytes
    stamp: Stamp
    content: bytes
    taken: str | None
    width: int
    height: int
    vector: NDArray[np.float16]


class FailureRow(NamedTuple):
    """A photo that could not be indexed, and why."""

    path: bytes
    stage: str
    reason: str
