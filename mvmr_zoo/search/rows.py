"""The record that the store keeps of a photo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvmr_zoo.images import Stamp


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
