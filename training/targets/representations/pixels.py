"""The pixels themselves."""

from __future__ import annotations

from torch import Tensor, nn


class Pixels(nn.Module):
    """Images, flattened."""

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(N, C, H, W)` to `(N, C * H * W)`."""
        return images.flatten(1)
