"""Standard deviation in small windows, which is high where there is texture."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from mvmr_zoo.errors import require


class LocalDeviation(nn.Module):
    """Per channel, the standard deviation of the `window` x `window` pixels around each pixel.

    Args:
        window: Side of the window in pixels, odd, at least 3. The paper uses 3. Borders are reflected.

    Raises:
        ConfigError: The window is even or too small.

    Example:
        >>> import torch
        >>> from training import LocalDeviation
        >>> LocalDeviation()(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 3072])
    """

    def __init__(self, window: int = 3) -> None:
        super().__init__()
        require(window >= 3 and window % 2 == 1, "local_deviation.window", window, "odd, at least 3")
        self.window = window

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(N, C, H, W)` with sides above `window // 2` to `(N, C * H * W)` float32, at least 0."""
        reach = self.window // 2
        require(min(images.shape[-2:]) > reach, "image side", min(images.shape[-2:]), f"above {reach}")
        # E[x^2] - E[x]^2 loses digits if the mean is large, so the mean of the image is subtracted first
        shifted = images - images.mean(dim=(2, 3), keepdim=True)
        padded = F.pad(shifted, (reach,) * 4, mode="reflect")
        mean = F.avg_pool2d(padded, self.window, stride=1)
        square = F.avg_pool2d(padded * padded, self.window, stride=1)
        return (square - mean * mean).clamp_min(0).sqrt().flatten(1)
