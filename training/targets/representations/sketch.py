"""A fast random projection that keeps distances, for representations too wide to exchange between processes."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor


def count_sketch(rows: Tensor, dim: int) -> Tensor:
    """Project rows to `(N, dim)`: each value is added, with a random sign, to one of `dim` sums at random.

    Over all draws, the expected value of a squared distance is unchanged, and its relative standard deviation is about
    `sqrt(2 / dim)` (Charikar et al., Finding frequent items in data streams, 2002; Weinberger et al., Feature hashing,
    2009). The error of one draw can be larger where few values hold most of the distance. Every process draws the same
    projection.

    Args:
        rows: `(N, K)` float.
        dim: Number of sums, at least 1.
    """
    places, signs = _draws(rows.shape[1], dim, rows.device)
    return rows.new_zeros(len(rows), dim).index_add_(1, places, rows * signs.to(rows))


@functools.lru_cache(maxsize=8)
def _draws(width: int, dim: int, device: torch.device) -> tuple[Tensor, Tensor]:
    random = np.random.default_rng((width, dim))
    places, signs = random.integers(dim, size=width), random.integers(2, size=width) * 2 - 1
    return torch.from_numpy(places).to(device), torch.from_numpy(signs.astype(np.float32)).to(device)
