"""One photo as a training step reads it: its views, and its references."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from mvmr_zoo.datasets import ImageSet
from mvmr_zoo.errors import DataError, ImageError
from mvmr_zoo.features import DRAFT_MARGIN
from mvmr_zoo.preprocess import Preprocess
from training.augment import augment_image
from training.config import ViewConfig
from training.plan import Draw

_NOTHING = torch.empty(0)


class Example(NamedTuple):
    """A photo's views and references; collated, each gains a leading N.

    Shapes: `augmented` and `other` `(3, px, px)` float32 in [0, 1], or, where the device augments,
    a plain uint8 square to be augmented; `plain` `(3, px, px)` uint8; `source` what live references
    read; each of `references` `(K,)`; `label`, `px`, `seed` int64 scalars. What no term reads is empty.
    """

    augmented: Tensor
    other: Tensor
    plain: Tensor
    source: Tensor
    references: dict[str, Tensor]
    label: Tensor
    px: Tensor
    seed: Tensor


@dataclass(kw_only=True)
class Examples(Dataset[Example]):
    """Maps a `Draw` to an `Example`.

    Args:
        data: all images of the run.
        rows: `(M,)`, those that are trained on; a draw counts among them.
        config: how the student sees them.
        with_plain: whether the plain view is wanted.
        with_other: whether a second augmented view is wanted.
        references: cached references by name, row i of image i of `data`.
        source: prepares an image for live references; None where there are none.
        source_px: what an image's short side must keep for `source`.
    """

    data: ImageSet
    rows: NDArray[np.int64]
    config: ViewConfig
    with_plain: bool = False
    with_other: bool = False
    references: Mapping[str, NDArray[np.floating]]
    source: Callable[[Image.Image], Tensor] | None = None
    source_px: int = 0

    def __getitem__(self, draw: Draw) -> Example:
        """The views of one photo, fixed by the draw's seed."""
        row = int(self.rows[draw.photo])
        try:
            image = self.data.image(row, min_px=self._needed_px(draw.px))
        except ImageError as error:  # DataError can cross from a worker to the trainer
            raise DataError(str(error)) from None
        references = {name: torch.from_numpy(np.array(rows[row])) for name, rows in self.references.items()}
        return Example(
            augmented=self._augmented(image, draw.px, draw.seed),
            other=self._augmented(image, draw.px, draw.seed + 1) if self.with_other else _NOTHING,
            plain=plain_view(self.config, image, draw.px) if self.with_plain else _NOTHING,
            source=self.source(image) if self.source is not None else _NOTHING,
            references=references,
            label=torch.tensor(self.data.labels[row]),
            px=torch.tensor(draw.px),
            seed=torch.tensor(draw.seed),
        )

    def _augmented(self, image: Image.Image, px: int, seed: int) -> Tensor:
        augment = self.config.augment
        if augment.where == "device":
            return to_tensor(_square(self._min_px(px))(image))
        return augment_image(image, px, augment.parameters, seed)

    def _needed_px(self, px: int) -> int:
        """The short side that the photo must keep for all that is made of it."""
        plain_px = DRAFT_MARGIN * self.config.preprocess(px).resize_px if self.with_plain else 0
        return max(self._min_px(px), plain_px, self.source_px)

    def _min_px(self, px: int) -> int:
        """The short side below which the smallest crop would have to be enlarged."""
        return int(px / self.config.augment.parameters.min_scale**0.5)


def plain_view(config: ViewConfig, image: Image.Image, px: int) -> Tensor:
    """The photo as the finished encoder sees it at `px`, before normalisation: `(3, px, px)` uint8."""
    return to_tensor(config.preprocess(px).crop(image))


def to_tensor(image: Image.Image) -> Tensor:
    """`(3, H, W)` uint8 of an RGB image."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


@functools.cache
def _square(px: int) -> Callable[[Image.Image], Image.Image]:
    """The whole centre square of a photo, `px` a side."""
    return Preprocess(resize_px=px, crop_px=px).crop
