"""Histograms of oriented gradients (Dalal, Triggs, 2005)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from mvmr_zoo.errors import require


class Hog(nn.Module):
    """A histogram of unsigned gradient directions per cell, L1-normalized.

    Gradients are central differences, zero at the border, of the channel where they are largest, as in
    `skimage.feature.hog`. The paper has 24 bins and cells of 8 x 8.

    Args:
        bins: Over half a turn, at least 2.
        cell_px: Side of a cell. Pixels at the right and bottom that do not fill a cell are left out.
        votes: `linear` shares a magnitude between the two nearest bins, `hard` gives it to the bin it falls in.

    Raises:
        ConfigError: A value is out of range.
    """

    def __init__(self, bins: int = 24, cell_px: int = 8, votes: Literal["linear", "hard"] = "linear") -> None:
        super().__init__()
        require(bins >= 2, "hog.bins", bins, "at least 2")
        require(cell_px >= 1, "hog.cell_px", cell_px, "at least 1")
        require(votes in ("linear", "hard"), "hog.votes", votes, "linear or hard")
        self.bins = bins
        self.cell_px = cell_px
        self.votes = votes

    def forward(self, images: Tensor) -> Tensor:
        """`(N, cells down * cells across * bins)` float32 in [0, 1] of images `(N, C, H, W)`."""
        n, _, height, width = images.shape
        down, across = height // self.cell_px, width // self.cell_px
        require(min(down, across) >= 1, "image side", min(height, width), f"at least one cell of {self.cell_px} px")
        magnitude, turn = gradients(images)
        inside = (slice(None), slice(down * self.cell_px), slice(across * self.cell_px))
        magnitude, turn = magnitude[inside], turn[inside]
        rows = torch.arange(down * self.cell_px, device=images.device) // self.cell_px
        columns = torch.arange(across * self.cell_px, device=images.device) // self.cell_px
        cell = (rows[:, None] * across + columns[None, :]) * self.bins
        cell = cell + torch.arange(n, device=images.device)[:, None, None] * (down * across * self.bins)
        histogram = torch.zeros(n * down * across * self.bins, dtype=images.dtype, device=images.device)
        place = turn * self.bins
        if self.votes == "hard":
            histogram.index_add_(0, (cell + place.long().clamp_max(self.bins - 1)).flatten(), magnitude.flatten())
        else:
            # bin b is centered at (b + 1/2) / bins of half a turn, and the last is neighbor of the first
            lower = torch.floor(place - 0.5)
            share = place - 0.5 - lower
            for which, part in ((lower, 1 - share), (lower + 1, share)):
                index = cell + which.long().remainder(self.bins)
                histogram.index_add_(0, index.flatten(), (magnitude * part).flatten())
        cells = histogram.view(n, down * across, self.bins)
        return (cells / (cells.sum(dim=2, keepdim=True) + 1e-5)).flatten(1)


def gradients(images: Tensor) -> tuple[Tensor, Tensor]:
    """Magnitude and direction of the strongest channel's gradient, both `(N, H, W)`.

    The direction is unsigned, in [0, 1) of half a turn.
    """
    down, across = torch.zeros_like(images), torch.zeros_like(images)
    down[:, :, 1:-1] = images[:, :, 2:] - images[:, :, :-2]
    across[..., 1:-1] = images[..., 2:] - images[..., :-2]
    strongest = torch.hypot(down, across).argmax(dim=1, keepdim=True)
    down, across = down.gather(1, strongest)[:, 0], across.gather(1, strongest)[:, 0]
    return torch.hypot(down, across), torch.remainder(torch.atan2(down, across), math.pi) / math.pi
