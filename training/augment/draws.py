"""The random draws of one augmented view: a pure function of its seed."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from training.augment.policies import Policy

RATIOS = (3 / 4, 4 / 3)
"""Of a resized crop's width to its height, before it is made square (Szegedy et al., 2015)."""
SIGMAS = (0.1, 2.0)
JITTERS = ("brightness", "contrast", "saturation", "hue")


class View(NamedTuple):
    """One view.

    `left`, `top`, `width`, `height`: the crop, in pixels of the photo; `factors`: of `JITTERS`, that
    leave the photo as it is where they are 1, 1, 1, 0; `order`: in which they are applied, indices into
    `JITTERS`; `sigma`: of the blur in pixels, 0 for none; `seed`: of what a learnt policy draws.
    """

    left: int
    top: int
    width: int
    height: int
    flip: bool
    factors: tuple[float, float, float, float]
    order: tuple[int, ...]
    grey: bool
    sigma: float
    seed: int


def draw(policy: Policy, width: int, height: int, px: int, seed: int) -> View:
    """What `seed` makes of a photo of `width` x `height`; `px` is the side of the view.

    All draws are made whatever their chances, so that one option changes nothing but what it names.
    """
    random = np.random.default_rng(seed)
    box = _padded(random, px) if policy.crop == "padded" else _resized(random, width, height, policy.min_scale)
    flip, jitter, grey, blur = (random.random(4) < (policy.flip, policy.jitter, policy.grey, policy.blur)).tolist()
    strengths = (policy.brightness, policy.contrast, policy.saturation)
    spread = random.uniform(-1, 1, size=4)
    scaled = [float(factor_at(share, strength)) for share, strength in zip(spread[:3], strengths, strict=True)]
    factors = (scaled[0], scaled[1], scaled[2], float(spread[3] * policy.hue)) if jitter else (1.0, 1.0, 1.0, 0.0)
    return View(
        *box,
        flip=flip,
        factors=factors,
        order=tuple(random.permutation(4).tolist()),
        grey=grey,
        sigma=float(random.uniform(*SIGMAS)) if blur else 0.0,
        seed=int(random.integers(2**62)),
    )


def factor_at(share: float, strength: float) -> float:
    """The factor at `share` of [-1, 1] in [max(0, 1 - strength), 1 + strength]."""
    low = max(0.0, 1 - strength)
    return low + (share + 1) / 2 * (1 + strength - low)


def _padded(random: np.random.Generator, px: int) -> tuple[int, int, int, int]:
    margin = px // 8
    left, top = random.integers(-margin, margin + 1, size=2).tolist()
    return left, top, px, px


def _resized(random: np.random.Generator, width: int, height: int, min_scale: float) -> tuple[int, int, int, int]:
    """As torchvision's RandomResizedCrop: ten tries, then the largest centre crop of an allowed ratio."""
    scales = random.uniform(min_scale, 1.0, size=10)
    ratios = np.exp(random.uniform(math.log(RATIOS[0]), math.log(RATIOS[1]), size=10))
    places = random.random(2)
    for scale, ratio in zip(scales.tolist(), ratios.tolist(), strict=True):
        area = width * height * scale
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(places[0] * (width - w + 1)), int(places[1] * (height - h + 1)), w, h
    w = min(width, round(height * RATIOS[1]))
    h = min(height, round(width / RATIOS[0]))
    return (width - w) // 2, (height - h) // 2, w, h
