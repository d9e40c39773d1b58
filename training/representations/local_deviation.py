"""Standard deviation in small windows: where the texture is."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from training.require import require


@dataclass(frozen=True)
class LocalDeviation:
    """Per channel, the deviation of the `window` x `window` pixels around each pixel (the paper: 3).

    Args:
        window: odd, at least 3; borders are reflected.
    """

    window: int = 3

    def __post_init__(self) -> None:
        """Raise ConfigError for an even or too small window."""
        require(self.window >= 3 and self.window % 2 == 1, "local_deviation.window", self.window, "odd, at least 3")

    def __call__(self, images: Tensor) -> Tensor:
        """`(N, C H W)` float32, at least 0, of images `(N, C, H, W)` with sides above `window // 2`."""
        reach = self.window // 2
        require(min(images.shape[-2:]) > reach, "image side", min(images.shape[-2:]), f"above {reach}")
        # a mean of squares minus a squared mean loses digits where the mean is large: take most of it away first
        shifted = images - images.mean(dim=(2, 3), keepdim=True)
        padded = F.pad(shifted, (reach,) * 4, mode="reflect")
        mean = F.avg_pool2d(padded, self.window, stride=1)
        square = F.avg_pool2d(padded * padded, self.window, stride=1)
        return (square - mean * mean).clamp_min(0).sqrt().flatten(1)
