"""Crops of an image: one of ten crops, a random crop. The name is part of the cache key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image, ImageOps

from mvmr_zoo.inference import DRAFT_MARGIN

if TYPE_CHECKING:
    from mvmr_zoo.images import Preprocess

MIN_AREA = 0.2
"""Minimum area of a random crop as a fraction of the photo, from the paper."""

_MAX_ASPECT = 4 / 3
_TEN_CROP_RATIO = 224 / 256
_PLACES = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.5))


class View(Protocol):
    """A function that crops images."""

    @property
    def name(self) -> str:
        """Name with all parameters. Views with equal names give equal pixels."""
        ...

    def min_px(self, preprocess: Preprocess) -> int:
        """Minimum length of the image's short side if it is decoded at a reduced size."""
        ...

    def __call__(self, image: Image.Image, preprocess: Preprocess, row: int) -> Image.Image:
        """Crop an RGB image to `crop_px` x `crop_px`. `row` is its row number in the data set."""
        ...


@dataclass(frozen=True)
class OneOfTen:
    """The four corners and the center, then their mirror images (Krizhevsky et al. 2012).

    The photo is resized to the resize size of the preprocessing, or to 8/7 of the crop size if the two are equal.

    Args:
        number: Number of the crop, 0 to 9.
    """

    number: int

    @property
    def name(self) -> str:
        """`crop N of 10`."""
        return f"crop {self.number} of 10"

    def min_px(self, preprocess: Preprocess) -> int:
        """The same as in `embed`, for the size that is cropped."""
        return DRAFT_MARGIN * _larger(preprocess).resize_px

    def __call__(self, image: Image.Image, preprocess: Preprocess, row: int) -> Image.Image:
        """The crop."""
        across, down = _PLACES[self.number % len(_PLACES)]
        crop = _larger(preprocess).crop(image, across=across, down=down)
        return crop if self.number < len(_PLACES) else ImageOps.mirror(crop)


@dataclass(frozen=True)
class RandomCrop:
    """A crop with `MIN_AREA` to all of the area and an aspect ratio from 3:4 to 4:3, mirrored with probability 0.5.

    For photos with a larger aspect ratio, the area is relative to that of the largest possible crop.

    Args:
        seed: Random seed.
        number: Number of the view. Each number is another crop.
    """

    seed: int
    number: int

    @property
    def name(self) -> str:
        """`random crop N of seed S`."""
        return f"random crop {self.number} of seed {self.seed}"

    def min_px(self, preprocess: Preprocess) -> int:
        """The size at which the smallest crop is not enlarged."""
        return int(preprocess.crop_px / MIN_AREA**0.5)

    def __call__(self, image: Image.Image, preprocess: Preprocess, row: int) -> Image.Image:
        """The crop. It depends only on seed, number and row."""
        random = np.random.default_rng((self.seed, self.number, row))
        widest, highest = min(image.width, image.height * _MAX_ASPECT), min(image.height, image.width * _MAX_ASPECT)
        area = random.uniform(MIN_AREA, 1) * widest * highest
        aspect = np.exp(random.uniform(-np.log(_MAX_ASPECT), np.log(_MAX_ASPECT)))
        width, height = min((area * aspect) ** 0.5, widest), min((area / aspect) ** 0.5, highest)
        left, top = random.uniform(0, image.width - width), random.uniform(0, image.height - height)
        size = (preprocess.crop_px, preprocess.crop_px)
        crop = image.resize(size, preprocess.resampling, box=(left, top, left + width, top + height))
        return ImageOps.mirror(crop) if random.random() < 0.5 else crop


TEN_CROPS = tuple(OneOfTen(number) for number in range(2 * len(_PLACES)))


def _larger(preprocess: Preprocess) -> Preprocess:
    if preprocess.resize_px > preprocess.crop_px:
        return preprocess
    return replace(preprocess, resize_px=round(preprocess.crop_px / _TEN_CROP_RATIO))
