"""A subset of an image set."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

    from mvmr_zoo.datasets.image_set import ImageSet


@dataclass(frozen=True)
class Subset:
    """An `ImageSet` of some rows of another.

    Args:
        images: The other.
        rows: `(N,)` which of its images, in this order.
    """

    images: ImageSet
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def name(self) -> str:
        """Name of the whole set."""
        return self.images.name

    @property
    def class_names(self) -> list[str]:
        """Class names of the whole set."""
        return self.images.class_names

    @functools.cached_property
    def labels(self) -> NDArray[np.int64]:
        """Labels of the rows, `(N,)` int64."""
        return self.images.labels[self.rows]

    @property
    def files(self) -> Sequence[Path]:
        """Files of the whole set."""
        return self.images.files

    def image(self, index: int, *, min_px: int | None = None) -> Image.Image:
        """The upright RGB image `index` of the subset. Raises ImageError."""
        return self.images.image(int(self.rows[index]), min_px=min_px)

    def describe(self, index: int) -> str:
        """The name of one image."""
        return self.images.describe(int(self.rows[index]))

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the fingerprint of the whole set and the rows. Raises DataError."""
        return hashlib.sha256(self.images.fingerprint.encode() + self.rows.tobytes()).hexdigest()


def held_out_rows(labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """The rows to hold out, as a mask `(N,)`: `share` of each class with two or more images, at least one of each.

    Args:
        labels: `(N,)` class numbers.
        share: Share of each class, in [0, 1].
        seed: Random seed.
    """
    random = np.random.default_rng(seed)
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if len(rows) >= 2:
            held[random.permutation(rows)[: max(1, round(share * len(rows)))]] = True
    return held
