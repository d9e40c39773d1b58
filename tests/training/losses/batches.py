"""A batch of embeddings and representations that depend on each other."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

OFF = {"invariance": 0.0, "variance": 0.0, "views": 0.0}
"""Weights of a loss that has none of the terms that need two views."""


class Batch(NamedTuple):
    """The arguments of a loss."""

    z: Tensor
    z0: Tensor | None
    representations: dict[str, Tensor]


def batch(seed: int = 0, n: int = 12) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    z = 0.5 * torch.randn(n, 6, generator=generator)
    z0 = z + 0.1 * torch.randn(n, 6, generator=generator)
    return Batch(z, z0, {"pixels": torch.randn(n, 6, generator=generator), "hog": z[:, :2] ** 2})
