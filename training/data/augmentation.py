"""Augmentation policies, and the random draws of one view as a pure function of its seed."""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from mvmr_zoo.errors import require

RATIOS = (3 / 4, 4 / 3)
"""Range of a resized crop's width / height before it becomes square (Szegedy et al., 2015)."""
SIGMAS = (0.1, 2.0)
"""Range of the blur's standard deviation in pixels, torchvision's default."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The distribution of views.

    Args:
        crop: `resized` is a random part of the photo, resized. `padded` is the whole photo, shifted by up to
            an eighth of its side (4 of 32 px), black outside.
        min_scale: Smallest share of the photo's area in a resized crop.
        interpolation: Filter of the crop.
        flip: Probability of a horizontal flip.
        brightness: Strength b. Factors are in [max(0, 1 - b), 1 + b].
        contrast: See `brightness`.
        saturation: See `brightness`.
        hue: Strength h, at most 0.5. The hue is shifted by up to ±h of the color wheel.
        jitter: Probability that the four color changes apply.
        gray: Probability of a gray view.
        blur: Probability of a Gaussian blur.
    """

    crop: Literal["resized", "padded"] = "resized"
    min_scale: float = 0.08
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    flip: float = 0.5
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    jitter: float = 0.0
    gray: float = 0.0
    blur: float = 0.0


POLICIES: dict[str, Policy] = {
    "paper": Policy(brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, jitter=0.8, gray=0.2, blur=1.0),
    "cifar": Policy(crop="padded", min_scale=1.0),
    "cifar20": Policy(
        min_scale=0.2,
        interpolation="bicubic",
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        jitter=0.8,
        gray=0.1,
    ),
}
"""The three policies of the paper's released configurations, by name."""

_PROBABILITIES = ("flip", "jitter", "gray", "blur")
_STRENGTHS = ("brightness", "contrast", "saturation")


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """A policy, and values that override it.

    Args:
        policy: Augmentation policy from the paper: `paper`, `cifar` or `cifar20`.
        where: Where color and blur are computed: per image in the `workers`, or for the whole batch on the `device`.
            Crops are always computed in the workers.
        min_scale: Smallest share of the photo's area in a crop. None uses the value of the policy, here and below.
        flip: Probability of a horizontal flip.
        brightness: Strength b. Factors are in [max(0, 1 - b), 1 + b].
        contrast: Like `brightness`.
        saturation: Like `brightness`.
        hue: Strength h, at most 0.5. The hue is shifted by up to ±h of the color wheel.
        jitter: Probability that brightness, contrast, saturation and hue change.
        gray: Probability of a gray view.
        blur: Probability of a Gaussian blur.
    """

    policy: Literal["paper", "cifar", "cifar20"] = "paper"
    where: Literal["workers", "device"] = "workers"
    min_scale: float | None = None
    flip: float | None = None
    brightness: float | None = None
    contrast: float | None = None
    saturation: float | None = None
    hue: float | None = None
    jitter: float | None = None
    gray: float | None = None
    blur: float | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for a value out of range, or one that the policy does not use."""
        drawn = self.parameters
        for name in _PROBABILITIES:
            value = getattr(drawn, name)
            require(0 <= value <= 1, f"views.augment.{name}", value, "a probability in [0, 1]")
        for name in _STRENGTHS:
            require(getattr(drawn, name) >= 0, f"views.augment.{name}", getattr(drawn, name), "at least 0")
        require(0 <= drawn.hue <= 0.5, "views.augment.hue", drawn.hue, "in [0, 0.5]")
        require(0 < drawn.min_scale <= 1, "views.augment.min_scale", drawn.min_scale, "a number above 0 and at most 1")
        if drawn.crop == "padded":
            expected = f"no value, because the policy {self.policy} keeps the whole photo"
            require(self.min_scale is None, "views.augment.min_scale", self.min_scale, expected)

    @property
    def parameters(self) -> Policy:
        """The policy with the overriding values."""
        return _parameters(self)


@functools.cache
def _parameters(config: AugmentConfig) -> Policy:
    own = POLICIES[config.policy]
    known = {field.name for field in dataclasses.fields(own)}
    given = {name: getattr(config, name) for name in known if getattr(config, name, None) is not None}
    return dataclasses.replace(own, **given)


class Box(NamedTuple):
    """The part of a photo that a view shows, in pixels of that photo.

    For the padded crop, `left` and `top` are the shift, and `width` and `height` are the side of the view.
    """

    left: int
    top: int
    width: int
    height: int


class Color(NamedTuple):
    """The color changes of one view.

    Args:
        factors: Factors of brightness, contrast and saturation (1 changes nothing), and the hue shift in turns (0
            changes nothing).
        order: The order in which the four are applied, as indices into `factors`.
        gray: Whether the view becomes gray.
        sigma: Standard deviation of the blur in pixels, 0 for none.
    """

    factors: tuple[float, float, float, float]
    order: tuple[int, ...]
    gray: bool
    sigma: float


class View(NamedTuple):
    """All random values of one view."""

    box: Box
    flip: bool
    color: Color


def draw_view(policy: Policy, width: int, height: int, px: int, seed: int) -> View:
    """Draw a view of a `width` x `height` photo.

    Every value is drawn whatever its probability, so that a change of one option leaves the other values unchanged.
    Crop and flip do not depend on the color options.

    Args:
        policy: The distribution of views.
        width: Width of the photo in pixels.
        height: Height of the photo in pixels.
        px: Side of the view in pixels.
        seed: Random seed, at least 0.
    """
    random = np.random.default_rng(seed)
    box = _padded(random, px) if policy.crop == "padded" else _resized(random, width, height, policy.min_scale)
    flip, jitter, gray, blur = (random.random(4) < (policy.flip, policy.jitter, policy.gray, policy.blur)).tolist()
    spread = random.uniform(-1, 1, size=4)
    strengths = (policy.brightness, policy.contrast, policy.saturation)
    b, c, s = (float(_factor(share, strength)) for share, strength in zip(spread[:3], strengths, strict=True))
    factors = (b, c, s, float(spread[3] * policy.hue)) if jitter else (1.0, 1.0, 1.0, 0.0)
    order = tuple(random.permutation(4).tolist())
    return View(box, flip, Color(factors, order, gray, float(random.uniform(*SIGMAS)) if blur else 0.0))


def _factor(share: float, strength: float) -> float:
    """The factor at `share` of [-1, 1] in [max(0, 1 - strength), 1 + strength]."""
    low = max(0.0, 1 - strength)
    return low + (share + 1) / 2 * (1 + strength - low)


def _padded(random: np.random.Generator, px: int) -> Box:
    margin = px // 8
    left, top = random.integers(-margin, margin + 1, size=2).tolist()
    return Box(left, top, px, px)


def _resized(random: np.random.Generator, width: int, height: int, min_scale: float) -> Box:
    """Like torchvision's RandomResizedCrop: ten tries, then the largest center crop of an allowed ratio."""
    scales = random.uniform(min_scale, 1.0, size=10)
    ratios = np.exp(random.uniform(math.log(RATIOS[0]), math.log(RATIOS[1]), size=10))
    places = random.random(2)
    for scale, ratio in zip(scales.tolist(), ratios.tolist(), strict=True):
        area = width * height * scale
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return Box(int(places[0] * (width - w + 1)), int(places[1] * (height - h + 1)), w, h)
    w = min(width, round(height * RATIOS[1]))
    h = min(height, round(width / RATIOS[0]))
    return Box((width - w) // 2, (height - h) // 2, w, h)
