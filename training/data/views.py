"""Views of a photo: its crop on the CPU, and its color on the CPU (one view) or on any device (a batch)."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional

from training.data.augmentation import Color, Policy, View, draw_view

COLOR_DIM = 10
"""Length of the vector that describes the color of one view; see `color_row`."""

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_CHANGES = (
    functional.adjust_brightness,
    functional.adjust_contrast,
    functional.adjust_saturation,
    functional.adjust_hue,
)
_LUMA = (0.2989, 0.587, 0.114)
"""ITU-R 601, as in torchvision's grayscale."""


def augment_image(image: Image.Image, px: int, policy: Policy, seed: int) -> Tensor:
    """One augmented view of an RGB photo: `(3, px, px)` float32 in [0, 1], not normalized.

    Args:
        image: RGB, of any size.
        px: Side of the view in pixels.
        policy: The distribution of views.
        seed: Random seed. Global generators are not used.
    """
    view = draw_view(policy, image.width, image.height, px, seed)
    return color_image(to_tensor(crop_image(image, px, policy, view)).float() / 255, view.color)


def crop_image(
    image: Image.Image, px: int, policy: Policy, view: View, resample: Image.Resampling | None = None
) -> Image.Image:
    """The crop and flip of a view, resized to `px` x `px`. The view may have been drawn for another size.

    Args:
        image: RGB.
        px: Side of the result in pixels.
        policy: The policy that the view was drawn from.
        view: The view.
        resample: Filter. None is the filter of the policy.
    """
    box, resample = view.box, RESAMPLING[policy.interpolation] if resample is None else resample
    if policy.crop == "resized":
        part = (box.left, box.top, box.left + box.width, box.top + box.height)
        cropped = image.resize((px, px), resample, box=part)
    else:
        whole = image if image.size == (px, px) else image.resize((px, px), resample)
        cropped = Image.new("RGB", (px, px))
        cropped.paste(whole, (-round(box.left * px / box.width), -round(box.top * px / box.height)))
    return cropped.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if view.flip else cropped


def to_tensor(image: Image.Image) -> Tensor:
    """Convert an RGB image to `(3, H, W)` uint8."""
    return torch.from_numpy(np.asarray(image).transpose(2, 0, 1).copy())


def kernel_px(px: int) -> int:
    """Side in pixels of the blur kernel for views of side `px`, odd."""
    return 2 * int(0.05 * px) + 1


def color_image(pixels: Tensor, color: Color) -> Tensor:
    """Apply jitter, gray and blur to `(3, px, px)` float in [0, 1]."""
    for i in color.order:
        factor = color.factors[i]
        if factor != (0.0 if i == 3 else 1.0):
            pixels = _CHANGES[i](pixels, factor)
    if color.gray:
        pixels = functional.rgb_to_grayscale(pixels, num_output_channels=3)
    kernel = kernel_px(pixels.shape[-1])
    if color.sigma > 0 and kernel > 1:
        pixels = functional.gaussian_blur(pixels, [kernel] * 2, [color.sigma] * 2)
    return pixels


def color_row(color: Color) -> Tensor:
    """The color of one view as `(COLOR_DIM,)` float32, for `color_batch`."""
    return torch.tensor([*color.factors, *color.order, float(color.gray), color.sigma])


def color_batch(images: Tensor, colors: Tensor) -> Tensor:
    """Jitter, gray and blur of a batch: `(N, 3, px, px)` float32 in [0, 1]. The same values as `color_image`.

    Args:
        images: `(N, 3, px, px)`, uint8 or float in [0, 1], on any device.
        colors: `(N, COLOR_DIM)`, rows of `color_row`.
    """
    pixels = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    factors, order, gray, sigmas = torch.split(colors, [4, 4, 1, 1], dim=1)
    for place in range(4):
        changed = pixels
        for i, change in enumerate((_brightness, _contrast, _saturation, _hue)):
            here = _column(order[:, place] == i)
            changed = torch.where(here, change(pixels, _column(factors[:, i])), changed)
        pixels = changed
    pixels = torch.where(_column(gray).bool(), _luma(pixels), pixels)
    return _blur(pixels, kernel_px(pixels.shape[-1]), sigmas[:, 0])


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
    # from HSV to RGB without branches (Smith, Color gamut transform pairs, 1978)
    shift = torch.tensor([5.0, 3.0, 1.0], device=pixels.device).view(1, 3, 1, 1)
    k = (shift + hue[:, None] * 6) % 6
    turned = value[:, None] - chroma[:, None] * torch.minimum(k, 4 - k).clamp(0, 1)
    return torch.where(turns == 0, pixels, turned)


def _blend(pixels: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    return (factor * pixels + (1 - factor) * other).clamp(0, 1)


def _luma(pixels: Tensor) -> Tensor:
    weights = pixels.new_tensor(_LUMA).view(1, 3, 1, 1)
    return (pixels * weights).sum(dim=1, keepdim=True)


def _blur(pixels: Tensor, kernel: int, sigmas: Tensor) -> Tensor:
    """Separable Gaussian blur with one sigma per image. Images with sigma 0 stay as they are."""
    if kernel == 1:
        return pixels
    n, channels, height, _ = pixels.shape
    offsets = torch.arange(kernel, device=pixels.device, dtype=pixels.dtype) - kernel // 2
    taps = torch.exp(-0.5 * (offsets / sigmas.view(n, 1).clamp_min(1e-3)) ** 2)
    taps = (taps / taps.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    flat = F.pad(pixels, (kernel // 2,) * 4, mode="reflect").view(1, n * channels, height + kernel - 1, -1)
    flat = F.conv2d(flat, taps.view(-1, 1, kernel, 1), groups=n * channels)
    flat = F.conv2d(flat, taps.view(-1, 1, 1, kernel), groups=n * channels)
    return torch.where(_column(sigmas) > 0, flat.view_as(pixels), pixels)


def _column(values: Tensor) -> Tensor:
    """`(N,)` or `(N, 1)` as `(N, 1, 1, 1)`."""
    return values.view(-1, 1, 1, 1)
