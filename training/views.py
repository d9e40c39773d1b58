"""The views of a photo that the student sees: augmented and plain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torchvision.transforms import v2

from mvmr_zoo.preprocess import Preprocess
from training.config import ViewConfig

if TYPE_CHECKING:
    from PIL import Image


def student_preprocess(px: int) -> Preprocess:
    """How the finished encoder prepares photos of any size: 8/7 of `px`, then the centre."""
    return Preprocess(resize_px=px * 8 // 7, crop_px=px)


def augmentation(config: ViewConfig, px: int) -> v2.Compose:
    """The paper's augmentation on one PIL image: a `(3, px, px)` float32 tensor, normalised.

    Jitter, grey and blur work on values in [0, 1], with one draw an image.
    """
    normalization = student_preprocess(px)
    kernel_px = 2 * int(0.05 * px) + 1
    jitter = v2.ColorJitter(config.brightness, config.contrast, config.saturation, config.hue)
    blur = v2.GaussianBlur(kernel_px) if kernel_px > 1 else v2.Identity()
    return v2.Compose(
        [
            v2.RandomResizedCrop(px, scale=(config.min_scale, 1.0)),
            v2.RandomHorizontalFlip(config.flip),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.RandomApply([jitter], p=config.jitter),
            v2.RandomGrayscale(config.grey),
            v2.RandomApply([blur], p=config.blur),
            v2.Normalize(list(normalization.mean), list(normalization.std)),
            v2.ToPureTensor(),
        ]
    )


def seeded_view(augment: v2.Compose, image: Image.Image, seed: int) -> Tensor:
    """One augmented view, the same for the same seed; the global generator is left as it was."""
    # torch.manual_seed also tells every accelerator, a millisecond a call: as long as the view itself
    generator = torch.default_generator
    before = generator.get_state()
    generator.manual_seed(seed)
    try:
        view: Tensor = augment(image)
    finally:
        generator.set_state(before)
    return view


def plain_view(image: Image.Image, px: int) -> Tensor:
    """The photo as the finished encoder would see it at `px`: `(3, px, px)` float32."""
    return torch.from_numpy(student_preprocess(px)(image))
