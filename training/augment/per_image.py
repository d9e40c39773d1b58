"""Augmented views one photo at a time, as data loading workers make them."""

from __future__ import annotations

import functools

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from training.augment.draws import JITTERS, View, draw
from training.augment.policies import Policy

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_CHANGES = {
    "brightness": functional.adjust_brightness,
    "contrast": functional.adjust_contrast,
    "saturation": functional.adjust_saturation,
    "hue": functional.adjust_hue,
}


def augment_image(image: Image.Image, px: int, policy: Policy, seed: int) -> Tensor:
    """One augmented view of an RGB photo: `(3, px, px)` float32 in [0, 1], not normalised.

    Args:
        image: RGB, of any size.
        px: side of the view.
        policy: what is drawn from.
        seed: of every draw; the same seed makes the same view, and the global generator is left as it was.
    """
    view = draw(policy, image.width, image.height, px, seed)
    cropped = _crop(image, px, policy, view)
    if view.flip:
        cropped = cropped.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = torch.from_numpy(np.array(cropped)).permute(2, 0, 1).contiguous()
    if policy.learnt is not None:
        return _seeded(_learnt(policy.learnt), pixels, view.seed).float() / 255
    return _colour(pixels.float() / 255, px, view)


def kernel_px(px: int) -> int:
    """Side of the blur's kernel for views of `px`, odd."""
    return 2 * int(0.05 * px) + 1


def _crop(image: Image.Image, px: int, policy: Policy, view: View) -> Image.Image:
    resample = _FILTERS[policy.interpolation]
    if policy.crop == "resized":
        box = (view.left, view.top, view.left + view.width, view.top + view.height)
        return image.resize((px, px), resample, box=box)
    whole = image if image.size == (px, px) else image.resize((px, px), resample)
    shifted = Image.new("RGB", (px, px))
    shifted.paste(whole, (-view.left, -view.top))
    return shifted


def _colour(pixels: Tensor, px: int, view: View) -> Tensor:
    """Jitter, grey and blur of `(3, px, px)` in [0, 1]."""
    for i in view.order:
        name, factor = JITTERS[i], view.factors[i]
        if factor != (0.0 if name == "hue" else 1.0):
            pixels = _CHANGES[name](pixels, factor)
    if view.grey:
        pixels = functional.rgb_to_grayscale(pixels, num_output_channels=3)
    if view.sigma > 0 and kernel_px(px) > 1:
        pixels = functional.gaussian_blur(pixels, [kernel_px(px)] * 2, [view.sigma] * 2)
    return pixels


@functools.cache
def _learnt(name: str) -> v2.Transform:
    return v2.RandAugment() if name == "randaugment" else v2.AutoAugment()


def _seeded(transform: v2.Transform, pixels: Tensor, seed: int) -> Tensor:
    # torch.manual_seed also tells every accelerator, a millisecond a call: as long as the view itself
    generator = torch.default_generator
    before = generator.get_state()
    generator.manual_seed(seed)
    try:
        changed: Tensor = transform(pixels)
    finally:
        generator.set_state(before)
    return changed
