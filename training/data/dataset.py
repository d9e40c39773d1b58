"""One photo as a training step reads it: its views and its cached targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from mvmr_zoo.datasets import ImageSet
from mvmr_zoo.errors import DataError, ImageError
from mvmr_zoo.images import Preprocess
from mvmr_zoo.inference import DRAFT_MARGIN
from training.data.augmentation import AugmentConfig, View, draw_view
from training.data.sampler import Draw
from training.data.views import color_image, color_row, crop_image, to_tensor

if TYPE_CHECKING:
    from training.config.images import ViewConfig

_NOTHING = torch.empty(0)


class TargetRows(Protocol):
    """Rows of targets that are read one at a time: an array `(R, K)`, or rows computed from several arrays."""

    def __getitem__(self, row: int, /) -> NDArray[np.floating]:
        """The row `(K,)`."""
        ...


class Example(NamedTuple):
    """A photo's views and targets. Fields that no term reads are empty. Collated, each field has a leading N.

    Args:
        augmented: `(3, px, px)` float32 in [0, 1], or uint8 where the device computes the color.
        color: `(COLOR_DIM,)` float32, the color changes of `augmented` that the device computes.
        other: A second augmented view, like `augmented`.
        other_color: Its color changes, like `color`.
        plain: `(3, px, px)` uint8, the plain view.
        source: `(3, S, S)` uint8, the image that live targets are computed from. Empty where it is `plain`.
        targets: Cached targets by name, each `(K,)`.
        mix: Share of this image in a mixup, a float32 scalar.
        label: Class, an int64 scalar; -1 if unknown.
    """

    augmented: Tensor
    color: Tensor
    other: Tensor
    other_color: Tensor
    plain: Tensor
    source: Tensor
    targets: dict[str, Tensor]
    mix: Tensor
    label: Tensor


@dataclass(frozen=True, kw_only=True)
class Source:
    """How the image for live targets is made.

    Args:
        preprocess: Its size, and the filter and crop of the plain view.
        same_view: Whether it has the crop and flip of the augmented view instead.
    """

    preprocess: Preprocess
    same_view: bool = False


@dataclass(kw_only=True)
class ViewDataset(Dataset[Example]):
    """Maps a `Draw` to an `Example`.

    Args:
        data: All images of the run.
        rows: `(M,)` int64, indices of the training images. `Draw.photo` is a position in them.
        config: The student's views.
        with_plain: Whether to make the plain view.
        with_other: Whether to make a second augmented view.
        targets: Cached targets by name, each `(len(data) * max(1, k), K)` with `k = config.k`. The fixed views of image
            i have the rows from `i * k` on.
        source: The image for live targets; None without live targets.
    """

    data: ImageSet
    rows: NDArray[np.int64]
    config: ViewConfig
    with_plain: bool = False
    with_other: bool = False
    targets: Mapping[str, TargetRows] = field(default_factory=dict)
    source: Source | None = None

    def __getitem__(self, draw: Draw) -> Example:
        """The views of one photo, determined by the draw alone."""
        row = int(self.rows[draw.photo])
        image = read_for_views(self.data, row, self._needed_px(draw.px))
        view, cached_row = view_of(self.config, image.size, row, draw)
        augmented, color = _augmented(image, draw.px, self.config.augment, view)
        other, other_color = _NOTHING, _NOTHING
        if self.with_other:
            augment = self.config.second_view
            second = draw_view(augment.parameters, image.width, image.height, draw.px, draw.seed + 1)
            other, other_color = _augmented(image, draw.px, augment, second)
        return Example(
            augmented=augmented,
            color=color,
            other=other,
            other_color=other_color,
            plain=plain_view(self.config, image, draw.px) if self.with_plain else _NOTHING,
            source=self._source(image, view, draw.px),
            targets={name: torch.from_numpy(np.array(rows[cached_row])) for name, rows in self.targets.items()},
            mix=torch.tensor(mix_share(self.config, draw.seed)),
            label=torch.tensor(self.data.labels[row]),
        )

    def _source(self, image: Image.Image, view: View, px: int) -> Tensor:
        source = self.source
        if source is None or (self.with_plain and source == Source(preprocess=self.config.preprocess(px))):
            return _NOTHING  # there is no source, or it is the plain view
        if not source.same_view:
            return to_tensor(source.preprocess.crop(image))
        policy, own = self.config.augment.parameters, source.preprocess
        return to_tensor(crop_image(image, own.crop_px, policy, view, own.resampling))

    def _needed_px(self, px: int) -> int:
        """The least short side of the decoded photo, for all its views."""
        if self.config.k:
            return self.config.cached_view_px
        needed = [self.config.smallest_photo_px(px)]
        if self.with_other:
            needed.append(int(px / self.config.second_view.parameters.min_scale**0.5))
        if self.with_plain:
            needed.append(DRAFT_MARGIN * self.config.preprocess(px).resize_px)
        if self.source is not None:
            own = self.source.preprocess
            same = self.config.smallest_photo_px(own.crop_px)
            needed.append(same if self.source.same_view else DRAFT_MARGIN * own.resize_px)
        return max(needed)


def read_for_views(data: ImageSet, row: int, min_px: int) -> Image.Image:
    """Decode an RGB photo, possibly at a reduced size with a short side of at least `min_px`.

    Raises DataError, because an ImageError cannot be pickled in a worker process.
    """
    try:
        return data.image(row, min_px=min_px)
    except ImageError as error:
        raise DataError(str(error)) from None


def view_of(config: ViewConfig, size: tuple[int, int], row: int, draw: Draw) -> tuple[View, int]:
    """The augmented view of photo `row`, and the row of its cached targets.

    Args:
        config: The views.
        size: Width and height of the photo in pixels.
        row: Row of the photo in its data set.
        draw: The place of the view in the run.
    """
    view = draw_view(config.augment.parameters, *size, draw.px, draw.seed)
    if config.k == 0:
        return view, row
    repeat = draw.epoch % config.k
    fixed = cached_view(config, size, row, repeat)
    return fixed._replace(color=view.color), row * config.k + repeat


def cached_view(config: ViewConfig, size: tuple[int, int], row: int, repeat: int) -> View:
    """View `repeat` of the K cached views of photo `row`. It does not depend on the run's seed, only on `views`."""
    seed = int(np.random.default_rng((config.seed, 5, row, repeat)).integers(2**62))
    return draw_view(config.augment.parameters, *size, config.largest_px, seed)


def mix_share(config: ViewConfig, seed: int) -> np.float32:
    """The share in a mixup of the image whose augmentation has this seed."""
    return np.float32(np.random.default_rng((seed, 1)).beta(config.mixup, config.mixup) if config.mixup else 1.0)


def plain_view(config: ViewConfig, image: Image.Image, px: int) -> Tensor:
    """The photo as the finished encoder sees it at `px`, before normalization: `(3, px, px)` uint8."""
    return to_tensor(config.preprocess(px).crop(image))


def _augmented(image: Image.Image, px: int, augment: AugmentConfig, view: View) -> tuple[Tensor, Tensor]:
    """A view, and the color changes that run on the device."""
    pixels = to_tensor(crop_image(image, px, augment.parameters, view))
    if augment.where == "device":
        return pixels, color_row(view.color)
    return color_image(pixels.float() / 255, view.color), _NOTHING
