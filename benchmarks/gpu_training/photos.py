"""The photos on the device. Worker processes draw views as numbers; the device crops them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from training.config import ViewConfig
from training.data import Draw, color_row, mix_share, view_of


class DrawnView(NamedTuple):
    """One view as numbers. Collated, each field has a leading N.

    Args:
        photo: Row of the photo, int64.
        target_row: Row of its target among those of fixed views, int64.
        px: Side of the student's view in pixels, int64.
        affine: `(2, 3)` float32, from the view to the photo, both with coordinates in [-1, 1].
        color: `(COLOR_DIM,)` float32; see `training.data.color_batch`.
        mix: Share in a mixup, float32.
    """

    photo: Tensor
    target_row: Tensor
    px: Tensor
    affine: Tensor
    color: Tensor
    mix: Tensor


@dataclass(frozen=True)
class DrawnViews(Dataset[DrawnView]):
    """Maps a `Draw` to a `DrawnView`, with the distribution of views of `training.data.ViewDataset`.

    Args:
        sizes: `(N, 2)` width and height of all photos.
        rows: `(M,)` rows of the training photos. `Draw.photo` is a position in them.
        config: The views.
    """

    sizes: NDArray[np.int64]
    rows: NDArray[np.int64]
    config: ViewConfig

    def __getitem__(self, draw: Draw) -> DrawnView:
        """The view of one photo, determined by the draw alone."""
        row = int(self.rows[draw.photo])
        width, height = self.sizes[row].tolist()
        view, target_row = view_of(self.config, (width, height), row, draw)
        across, down = view.box.width / width, view.box.height / height
        x, y = 2 * view.box.left / width + across - 1, 2 * view.box.top / height + down - 1
        affine = torch.tensor([[-across if view.flip else across, 0.0, x], [0.0, down, y]])
        return DrawnView(
            torch.tensor(row),
            torch.tensor(target_row),
            torch.tensor(draw.px),
            affine,
            color_row(view.color),
            torch.tensor(mix_share(self.config, draw.seed)),
        )


@dataclass(frozen=True)
class Photos:
    """Photos as squares on the device.

    Args:
        pixels: `(N, 3, S, S)` uint8.
    """

    pixels: Tensor

    def __deepcopy__(self, memo: dict[int, Any]) -> Photos:
        """Return the photos themselves, so that the averaged copy of a training module shares them."""
        return self

    def crop(self, drawn: DrawnView, px: int) -> Tensor:
        """The crop and flip of each view: `(N, 3, px, px)` uint8. `px` should be at least S, against aliasing."""
        grid = F.affine_grid(drawn.affine, [len(drawn.affine), 3, px, px], align_corners=False)
        found = F.grid_sample(self.pixels[drawn.photo].float(), grid, padding_mode="border", align_corners=False)
        return _to_uint8(found)


def resized(images: Tensor, px: int) -> Tensor:
    """Resize `(N, 3, H, W)` uint8 to `(N, 3, px, px)` uint8, antialiased."""
    if images.shape[-2:] == (px, px):
        return images
    return _to_uint8(F.interpolate(images.float(), (px, px), mode="bilinear", antialias=True))


def _to_uint8(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)
