"""Several image sets as one."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo.errors import require

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

    from mvmr_zoo.datasets.image_set import ImageSet


@dataclass(frozen=True)
class JoinedImages:
    """An `ImageSet` with the images of several sets in order. Classes of different sets are distinct.

    Args:
        parts: The sets, at least one.
    """

    parts: tuple[ImageSet, ...]

    def __post_init__(self) -> None:
        """Raise ConfigError if there is no set."""
        require(len(self.parts) >= 1, "the number of image sets", len(self.parts), "at least 1")

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def name(self) -> str:
        """The names of the sets, joined by `+`."""
        return "+".join(part.name for part in self.parts)

    @functools.cached_property
    def class_names(self) -> list[str]:
        """`SET/CLASS` for each class."""
        return [f"{part.name}/{name}" for part in self.parts for name in part.class_names]

    @functools.cached_property
    def labels(self) -> NDArray[np.int64]:
        """`(N,)` int64, indices into `class_names`; -1 for images without a class."""
        first, labels = 0, []
        for part in self.parts:
            labels.append(np.where(part.labels >= 0, part.labels + first, -1))
            first += len(part.class_names)
        return np.concatenate(labels)

    @property
    def files(self) -> list[Path]:
        """The files of all sets."""
        return [path for part in self.parts for path in part.files]

    def image(self, index: int, *, min_px: int | None = None) -> Image.Image:
        """The upright RGB image `index`. Raises ImageError."""
        part, row = self._place(index)
        return part.image(row, min_px=min_px)

    def describe(self, index: int) -> str:
        """The name of the image's set, then the name of the image."""
        part, row = self._place(index)
        return f"{part.name}: {part.describe(row)}"

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the sets' fingerprints. Raises DataError."""
        return hashlib.sha256(" ".join(part.fingerprint for part in self.parts).encode()).hexdigest()

    @functools.cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.cumsum([len(part) for part in self.parts])

    def _place(self, index: int) -> tuple[ImageSet, int]:
        if not 0 <= index < len(self):  # a negative index would read the first set
            raise IndexError(f"image {index} of {len(self)}")
        which = int(np.searchsorted(self._ends, index, side="right"))
        return self.parts[which], index - (int(self._ends[which - 1]) if which else 0)
