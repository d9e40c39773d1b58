"""What is seen of an image: its center, one of ten crops, a random crop. The name is part of the cache's key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from PIL import Image, ImageOps

from mvmr_zoo.inference import DRAFT_MARGIN

if TYPE_CHECKING:
    from mvmr_zoo.images import Preprocess

MIN_AREA = 0.2
"""The smallest share of a photo's area that a random crop shows: the paper's."""

_MAX_ASPECT = 4 / 3
_TEN_CROP_RATIO = 224 / 256
_PLACES = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.5))


class View(Protocol):
    """A way of looking at an image."""

    @property
    def name(self) -> str:
        """It and its parameters: the same name is the same pixels."""
        ...

    def min_px(self, preprocess: Preprocess) -> int:
        """What the image's short side must keep when it is decoded at a smaller scale."""
        ...

    def __call__(self, image: Image.Image, preprocess: Preprocess, row: int) -> Image.Image:
        """`crop_px` x `crop_px` of an RGB image; `row` is its number in the set."""
        ...


class Center(NamedTuple):
    """The preprocessing's own center crop."""

    name: str = "center"

    def min_px(self, preprocess: Preprocess) -> int:
        """As `embed` decodes."""
        return DRAFT_MARGIN * preprocess.resize_px

    def __call__(self, image: Image.Image, preprocess: Preprocess, row: int) -> Image.Image:
        """The center crop."""
        return preprocess.crop(image)


@dataclass(frozen=True)
class OneOfTen:
    """The four corners and the center, then the same mirrored (Krizhevsky et al. 2012).

    Of the photo at the preprocessing's own size where that is larger than the crop, else 8/7 of it: crops of a
    photo of their own size would be one crop.

    Args:
        number: 0 to 9.
    """

    number: int

    @property
    def name(self) -> str:
        """`crop N of 10`."""
        return f"crop {self.number} of 10"

    def min_px(self, preprocess: Preprocess) -> int:
        """As `embed` decodes, at the size that is cropped."""
        return DRAFT_MARGIN * _larger(preprocess).resize_px

    def __call__(self, image: Image.Image, preprocess: Preprocess, row: int) -> Image.Image:
        """The crop."""
        across, down = _PLACES[self.number % len(_PLACES)]
        crop = _larger(preprocess).crop(image, across=across, down=down)
        return crop if self.number < len(_PLACES) else ImageOps.mirror(crop)


@dataclass(frozen=True)
class RandomCrop:
    """A crop of `MIN_AREA` to all of the area, sides from 3:4 to 4:3, mirrored every second time.

    Of a photo longer than 4:3, the area is that of the largest part of such sides, wherever in it the crop lies.

    Args:
        seed: of all draws.
        number: of this view; another number is another crop.
    """

    seed: int
    number: int

    @property
    def name(self) -> str:
        """`random crop N of seed S`."""
        return f"random crop {self.number} of seed {self.seed}"

    def min_px(self, preprocess: Preprocess) -> int:
        """So that the smallest crop need not be enlarged."""
        return int(preprocess.crop_px / MIN_AREA**0.5)

    def __call__(self, image: Image.Image, preprocess: Preprocess, row: int) -> Image.Image:
        """The crop, the same for the same seed, number and row."""
        random = np.random.default_rng((self.seed, self.number, row))
        widest, highest = min(image.width, image.height * _MAX_ASPECT), min(image.height, image.width * _MAX_ASPECT)
        area = random.uniform(MIN_AREA, 1) * widest * highest
        aspect = np.exp(random.uniform(-np.log(_MAX_ASPECT), np.log(_MAX_ASPECT)))
        width, height = min((area * aspect) ** 0.5, widest), min((area / aspect) ** 0.5, highest)
        left, top = random.uniform(0, image.width - width), random.uniform(0, image.height - height)
        size = (preprocess.crop_px, preprocess.crop_px)
        crop = image.resize(size, preprocess.resampling, box=(left, top, left + width, top + height))
        return ImageOps.mirror(crop) if random.random() < 0.5 else crop


CENTER = Center()
TEN_CROPS = tuple(OneOfTen(number) for number in range(2 * len(_PLACES)))


def _larger(preprocess: Preprocess) -> Preprocess:
    if preprocess.resize_px > preprocess.crop_px:
        return preprocess
    return replace(preprocess, resize_px=round(preprocess.crop_px / _TEN_CROP_RATIO))
