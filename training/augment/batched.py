"""Augmented views of a whole batch at once, on whatever device it is on.

The draws are those of `per_image`, one an image; only the resampling of the crop differs.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import roi_align

from mvmr_zoo.errors import ConfigError
from training.augment.draws import View, draw
from training.augment.per_image import kernel_px
from training.augment.policies import Policy

_LUMA = (0.2989, 0.587, 0.114)
"""ITU-R 601, as torchvision's grayscale."""


def augment_batch(images: Tensor, px: int, policy: Policy, seeds: Tensor) -> Tensor:
    """One augmented view of every image: `(N, 3, px, px)` float32 in [0, 1], not normalised.

    Args:
        images: `(N, 3, H, W)`, uint8 or float in [0, 1].
        px: side of the views.
        policy: what is drawn from.
        seeds: `(N,)` int64; a view depends on its own image and seed only.

    Raises:
        ConfigError: the policy is a learnt one, which works on single photos.
    """
    if policy.learnt is not None:
        raise ConfigError(f"views.augment.where is device, but {policy.learnt} needs workers.")
    pixels = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    height, width = pixels.shape[-2:]
    views = [draw(policy, width, height, px, int(seed)) for seed in seeds.tolist()]
    pixels = _crops(pixels, px, policy, views)
    flip = _column([view.flip for view in views], pixels).bool()
    pixels = torch.where(flip, pixels.flip(-1), pixels)
    pixels = _jitter(pixels, views)
    grey = _column([view.grey for view in views], pixels).bool()
    pixels = torch.where(grey, _luma(pixels), pixels)
    return _blur(pixels, kernel_px(px), views)


def _crops(pixels: Tensor, px: int, policy: Policy, views: list[View]) -> Tensor:
    """Each image's crop, resized to `px`: bilinear samples averaged over the area of a pixel."""
    if policy.crop == "padded":
        whole = F.interpolate(pixels, (px, px), mode="bilinear", antialias=True) if pixels.shape[-1] != px else pixels
        margin = px // 8
        padded = F.pad(whole, (margin,) * 4)
        return torch.stack(
            [
                padded[i, :, margin + view.top : margin + view.top + px, margin + view.left : margin + view.left + px]
                for i, view in enumerate(views)
            ]
        )
    boxes = [[i, view.left, view.top, view.left + view.width, view.top + view.height] for i, view in enumerate(views)]
    crops: Tensor = roi_align(pixels, pixels.new_tensor(boxes), (px, px), aligned=True)
    return crops


def _jitter(pixels: Tensor, views: list[View]) -> Tensor:
    """Every image's colour changes, each in the order it drew."""
    order = torch.tensor([view.order for view in views])
    factors = torch.tensor([view.factors for view in views])
    for place in range(4):
        changed = pixels
        for i, change in enumerate((_brightness, _contrast, _saturation, _hue)):
            factor = _column(factors[:, i].tolist(), pixels)
            here = _column((order[:, place] == i).tolist(), pixels).bool()
            changed = torch.where(here, change(pixels, factor), changed)
        pixels = changed
    return pixels


def _brightness(pixels: Tensor, factor: Tensor) -> Tensor:
    return (pixels * factor).clamp(0, 1)


def _contrast(pixels: Tensor, factor: Tensor) -> Tensor:
    return _blend(pixels, _luma(pixels).mean(dim=(1, 2, 3), keepdim=True), factor)


def _saturation(pixels: Tensor, factor: Tensor) -> Tensor:
    return _blend(pixels, _luma(pixels), factor)


def _hue(pixels: Tensor, turns: Tensor) -> Tensor:
    """Rotate the hue of HSV by `turns` of the circle."""
    red, green, blue = pixels.unbind(dim=1)
    value, minimum = pixels.amax(dim=1), pixels.amin(dim=1)
    chroma = value - minimum
    safe = torch.where(chroma > 0, chroma, 1.0)
    sextant = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    hue = (sextant / 6 + turns[:, 0]) % 1.0
    # the inverse without branches: Smith, Color gamut transform pairs, 1978, in closed form
    shift = torch.tensor([5.0, 3.0, 1.0], device=pixels.device).view(1, 3, 1, 1)
    k = (shift + hue[:, None] * 6) % 6
    turned = value[:, None] - chroma[:, None] * torch.minimum(k, 4 - k).clamp(0, 1)
    return torch.where(turns == 0, pixels, turned)


def _blend(pixels: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    return (factor * pixels + (1 - factor) * other).clamp(0, 1)


def _luma(pixels: Tensor) -> Tensor:
    weights = pixels.new_tensor(_LUMA).view(1, 3, 1, 1)
    return (pixels * weights).sum(dim=1, keepdim=True)


def _blur(pixels: Tensor, kernel: int, views: list[View]) -> Tensor:
    """Separable Gaussian blur, a sigma an image; images with sigma 0 stay as they are."""
    sigmas = _column([view.sigma for view in views], pixels)
    if kernel == 1 or not (sigmas > 0).any():
        return pixels
    n, channels, height, _ = pixels.shape
    offsets = torch.arange(kernel, device=pixels.device, dtype=pixels.dtype) - kernel // 2
    taps = torch.exp(-0.5 * (offsets / sigmas.view(n, 1).clamp_min(1e-3)) ** 2)
    taps = (taps / taps.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    flat = F.pad(pixels, (kernel // 2,) * 4, mode="reflect").view(1, n * channels, height + kernel - 1, -1)
    flat = F.conv2d(flat, taps.view(-1, 1, kernel, 1), groups=n * channels)
    flat = F.conv2d(flat, taps.view(-1, 1, 1, kernel), groups=n * channels)
    return torch.where(sigmas > 0, flat.view_as(pixels), pixels)


def _column(values: list[float] | list[bool], like: Tensor) -> Tensor:
    """`(N, 1, 1, 1)` on the device of `like`."""
    return like.new_tensor(values).view(-1, 1, 1, 1)
