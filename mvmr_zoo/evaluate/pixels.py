"""Raw pixels as features: a baseline for encoders."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mvmr_zoo.images import read_image

SIDE_PX = 16

RAW_PIXELS = f"raw {SIDE_PX} x {SIDE_PX} pixels"
"""Name of the baseline in reports and tables."""


def raw_pixels(photos: Iterable[str | os.PathLike[str] | Image.Image]) -> NDArray[np.float32]:
    """Photos as 16 x 16 RGB pixels minus their mean: `(N, 768)` float32, not normalized.

    Args:
        photos: Paths, or RGB images.
    """
    size = (SIDE_PX, SIDE_PX)
    images = (photo if isinstance(photo, Image.Image) else read_image(photo) for photo in photos)
    small = [image.resize(size, Image.Resampling.BOX) for image in images]
    rows = np.stack([np.asarray(image, np.float32).ravel() for image in small])
    centered: NDArray[np.float32] = rows - rows.mean(axis=1, keepdims=True)
    return centered
