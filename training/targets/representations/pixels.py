"""The pixels themselves."""

from __future__ import annotations

from torch import Tensor, nn


class Pixels(nn.Module):
    """Images, flattened.

    Example:
        >>> import torch
        >>> from training import Pixels
        >>> Pixels()(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 3072])
    """

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(N, C, H, W)` to `(N, C * H * W)`."""
        return images.flatten(1)
