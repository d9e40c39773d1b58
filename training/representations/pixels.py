"""The pixels themselves."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Pixels:
    """Images, flattened."""

    def __call__(self, images: Tensor) -> Tensor:
        """`(N, C H W)` of images `(N, C, H, W)`."""
        return images.flatten(1)
