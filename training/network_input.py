"""From the pixels of an example to what the network reads, on the device."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.augment import augment_batch
from training.config import ViewConfig
from training.examples import Example


class NetworkInput(nn.Module):
    """Normalises images, and augments them where the workers did not.

    Args:
        config: the views.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: ViewConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised `(N, 3, H, W)` float32 of images in [0, 1], or of uint8."""
        scaled = images.float() / 255 if images.dtype == torch.uint8 else images
        return ((scaled - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def augmented(self, batch: Example) -> Tensor:
        """The augmented view in [0, 1], `(N, 3, px, px)`."""
        return self._augment(batch.augmented, batch.px, batch.seed)

    def other(self, batch: Example) -> Tensor:
        """Another augmented view."""
        return self._augment(batch.other, batch.px, batch.seed + 1)

    def _augment(self, images: Tensor, px: Tensor, seeds: Tensor) -> Tensor:
        augment = self.config.augment
        if augment.where == "workers":
            return images
        return augment_batch(images, int(px[0]), augment.parameters, seeds)
