"""The database record of a photo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvmr_zoo.images import Stamp


@dataclass(frozen=True, kw_only=True)
class PhotoRow:
    """A photo in the library.

    Args:
        root: Folder that was added to the library, as bytes.
        path: Absolute path of the file, as bytes.
        stamp: Size and mtime of the file.
        sha256: SHA-256 digest of the file, 32 bytes.
        taken_at: EXIF date as `YYYY-MM-DD HH:MM:SS`, or None.
        width: Width in pixels, after EXIF orientation.
        height: Height in pixels, after EXIF orientation.
        vector: Unit vector `(D,)` as float16.
    """

    root: bytes
    path: bytes
    stamp: Stamp
    sha256: bytes
    taken_at: str | None
    width: int
    height: int
    vector: NDArray[np.float16]
