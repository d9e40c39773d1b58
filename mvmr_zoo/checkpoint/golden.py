"""Golden outputs: the expected outputs of an encoder for fixed generated images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

GOLDEN_COSINE = 0.9999
"""Minimum cosine between outputs and golden outputs, on a CPU in fp32."""

GOLDEN_IMAGES = 4


def golden_images(px: int) -> NDArray[np.float32]:
    """The fixed images of the golden outputs: `(4, 3, px, px)` float32, smooth waves in [-2, 2]."""
    axis = np.linspace(0, 1, px, dtype=np.float64)
    across, down = np.meshgrid(axis, axis)
    images = [
        [2 * np.sin(2 * np.pi * ((i + 1) * across + (c + 1) * down * (i - c) + 0.3 * i * c)) for c in range(3)]
        for i in range(GOLDEN_IMAGES)
    ]
    return np.asarray(images, dtype=np.float32)


def lowest_cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """The lowest cosine between corresponding rows of two arrays `(N, D)`. It is -1 if a value is not finite."""
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    lowest = float(((a * b).sum(axis=1) / np.maximum(norms, 1e-12)).min())
    return lowest if np.isfinite(lowest) else -1.0
