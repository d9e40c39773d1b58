"""Histograms of oriented gradients (Dalal, Triggs, 2005)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mvmr_zoo.errors import require

_SOBEL = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
"""Left minus right, smoothed vertically. Its transpose is top minus bottom."""


class Hog(nn.Module):
    """A histogram of unsigned gradient directions per cell.

    `linear` and `hard` use central differences, zero at the border, of the channel with the largest gradient. Cells
    are L1-normalized, as in `skimage.feature.hog`. `released` is the descriptor of the paper's released code: one
    histogram per channel, Sobel gradients with zeros outside the image, and no normalization. In it, a pixel of
    magnitude m adds m to one bin and 1 - m to the next, so flat areas count as much as edges. The released runs
    apply it to normalized images. Its values on images in [0, 1] are different.

    The paper uses 24 bins and cells of 8 x 8.

    Args:
        bins: Number of direction bins over half a turn, at least 2.
        cell_px: Side of a cell in pixels, at least 1. Pixels at the right and bottom that do not fill a cell are
            ignored.
        mode: `linear` divides a magnitude between the two nearest bins. `hard` adds it to the bin of its direction.
            `released` is described above.

    Raises:
        ConfigError: A value is out of range.

    Example:
        >>> import torch
        >>> from training import Hog
        >>> Hog()(torch.rand(2, 3, 32, 32)).shape  # 4 x 4 cells of 24 bins
        torch.Size([2, 384])
    """

    def __init__(
        self, bins: int = 24, cell_px: int = 8, mode: Literal["linear", "hard", "released"] = "linear"
    ) -> None:
        super().__init__()
        require(bins >= 2, "hog.bins", bins, "at least 2")
        require(cell_px >= 1, "hog.cell_px", cell_px, "at least 1")
        require(mode in ("linear", "hard", "released"), "hog.mode", mode, "linear, hard or released")
        self.bins = bins
        self.cell_px = cell_px
        self.mode = mode

    def forward(self, images: Tensor) -> Tensor:
        """Histograms of images `(N, C, H, W)`.

        `linear` and `hard` give `(N, cells down * cells across * bins)` in [0, 1], bins fastest. `released` gives
        `(N, C * bins * cells down * cells across)`, columns of cells fastest.
        """
        height, width = images.shape[-2:]
        down, across = height // self.cell_px, width // self.cell_px
        require(min(down, across) >= 1, "image side", min(height, width), f"at least one cell of {self.cell_px} px")
        return self._released(images) if self.mode == "released" else self._normalized(images, down, across)

    def _normalized(self, images: Tensor, down: int, across: int) -> Tensor:
        n = len(images)
        magnitude, turn = gradients(images)
        inside = (slice(None), slice(down * self.cell_px), slice(across * self.cell_px))
        magnitude, turn = magnitude[inside], turn[inside]
        rows = torch.arange(down * self.cell_px, device=images.device) // self.cell_px
        columns = torch.arange(across * self.cell_px, device=images.device) // self.cell_px
        cell = (rows[:, None] * across + columns[None, :]) * self.bins
        cell = cell + torch.arange(n, device=images.device)[:, None, None] * (down * across * self.bins)
        histogram = torch.zeros(n * down * across * self.bins, dtype=images.dtype, device=images.device)
        place = turn * self.bins
        if self.mode == "hard":
            histogram.index_add_(0, (cell + place.long().clamp_max(self.bins - 1)).flatten(), magnitude.flatten())
        else:
            # bin b is centered at (b + 1/2) / bins of half a turn; the last bin is a neighbor of the first
            lower = torch.floor(place - 0.5)
            share = place - 0.5 - lower
            for which, part in ((lower, 1 - share), (lower + 1, share)):
                index = cell + which.long().remainder(self.bins)
                histogram.index_add_(0, index.flatten(), (magnitude * part).flatten())
        cells = histogram.view(n, down * across, self.bins)
        return (cells / (cells.sum(dim=2, keepdim=True) + 1e-5)).flatten(1)

    def _released(self, images: Tensor) -> Tensor:
        n, channels, height, width = images.shape
        kernels = torch.stack([_SOBEL, _SOBEL.T])[:, None].to(images)
        across, down = F.conv2d(images.reshape(n * channels, 1, height, width), kernels, padding=1).unbind(dim=1)
        magnitude = torch.hypot(across, down)[:, None]
        place = torch.atan2(across, down)[:, None] / math.pi * self.bins  # the direction along the edge
        votes = images.new_zeros(n * channels, self.bins, height, width)
        votes.scatter_(1, place.floor().long().remainder(self.bins), magnitude)
        votes.scatter_add_(1, place.ceil().long().remainder(self.bins), 1 - magnitude)
        return F.avg_pool2d(votes, self.cell_px).view(n, -1)


def gradients(images: Tensor) -> tuple[Tensor, Tensor]:
    """Magnitude and direction of the strongest channel's gradient, both `(N, H, W)`.

    The direction is unsigned, a share of half a turn in [0, 1).
    """
    down, across = torch.zeros_like(images), torch.zeros_like(images)
    down[:, :, 1:-1] = images[:, :, 2:] - images[:, :, :-2]
    across[..., 1:-1] = images[..., 2:] - images[..., :-2]
    strongest = torch.hypot(down, across).argmax(dim=1, keepdim=True)
    down, across = down.gather(1, strongest)[:, 0], across.gather(1, strongest)[:, 0]
    return torch.hypot(down, across), torch.remainder(torch.atan2(down, across), math.pi) / math.pi
