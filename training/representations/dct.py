"""Two-dimensional cosine transform: pixels by frequency."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from training.require import require


@dataclass(frozen=True)
class Dct:
    """The orthonormal DCT-II of each channel.

    Args:
        keep: only frequencies below this in both directions; None keeps all, and then every distance.
    """

    keep: int | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError where nothing would be kept."""
        require(self.keep is None or self.keep >= 1, "dct.keep", self.keep, "at least 1")

    def __call__(self, images: Tensor) -> Tensor:
        """`(N, C keep keep)` float32 of images `(N, C, H, W)`."""
        height, width = images.shape[-2:]
        least = self.keep or 1
        require(min(height, width) >= least, "image side", min(height, width), f"at least dct.keep, {least}")
        rows = cosines(height, self.keep or height).to(images)
        columns = cosines(width, self.keep or width).to(images)
        return (rows @ images @ columns.T).flatten(1)


@functools.lru_cache(maxsize=16)
def cosines(n: int, keep: int) -> Tensor:
    """The first `keep` rows of the orthonormal DCT-II matrix of size n: `(keep, n)` float32."""
    frequency, place = torch.arange(keep, dtype=torch.float64)[:, None], torch.arange(n, dtype=torch.float64)
    matrix = math.sqrt(2 / n) * torch.cos(math.pi / n * (place + 0.5) * frequency)
    matrix[0] /= math.sqrt(2)
    return matrix.float()
