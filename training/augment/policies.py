"""What each augmentation policy draws from, and the options that change it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from training.require import require


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What views are drawn from.

    Args:
        crop: `resized` is a random part of the photo, resized; `padded` the whole photo, shifted by up to
            an eighth of its side (4 of 32 px), black where it leaves.
        min_scale: smallest share of the photo's area that a resized crop keeps.
        interpolation: of the crop.
        flip: chance of a horizontal flip.
        brightness: factors lie in [1 - b, 1 + b]; likewise `contrast` and `saturation`.
        contrast: see `brightness`.
        saturation: see `brightness`.
        hue: shifts lie in [-h, h] turns of the colour wheel, at most 0.5.
        jitter: chance that brightness, contrast, saturation and hue change, in a random order.
        grey: chance of losing all colour.
        blur: chance of Gaussian blur, sigma in [0.1, 2], kernel `2 floor(0.05 px) + 1`.
        learnt: torchvision's RandAugment or AutoAugment in place of jitter, grey and blur.
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
    grey: float = 0.0
    blur: float = 0.0
    learnt: Literal["randaugment", "autoaugment"] | None = None


POLICIES: dict[str, Policy] = {
    "paper": Policy(
        min_scale=0.2, brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, jitter=0.8, grey=0.2, blur=0.5
    ),
    "randaugment": Policy(learnt="randaugment"),
    "autoaugment": Policy(learnt="autoaugment"),
    "cifar": Policy(crop="padded", min_scale=1.0),
    "cifar20": Policy(
        min_scale=0.2,
        interpolation="bicubic",
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        jitter=0.8,
        grey=0.1,
    ),
}
"""By name. `paper`, `cifar` and `cifar20` are those of the paper's released configurations."""

_CHANCES = ("flip", "jitter", "grey", "blur")
_STRENGTHS = ("brightness", "contrast", "saturation")


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """The augmented view: a policy, and values that replace the policy's own where they are given.

    Args:
        policy: a name in `POLICIES`.
        where: `workers` augments photos one by one; `device` a batch of centre squares at once, on a GPU.
        min_scale: see `Policy`, as the rest.
        flip: see `Policy`.
        brightness: see `Policy`.
        contrast: see `Policy`.
        saturation: see `Policy`.
        hue: see `Policy`.
        jitter: see `Policy`.
        grey: see `Policy`.
        blur: see `Policy`.
    """

    policy: Literal["paper", "randaugment", "autoaugment", "cifar", "cifar20"] = "paper"
    where: Literal["workers", "device"] = "workers"
    min_scale: float | None = None
    flip: float | None = None
    brightness: float | None = None
    contrast: float | None = None
    saturation: float | None = None
    hue: float | None = None
    jitter: float | None = None
    grey: float | None = None
    blur: float | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for a value that cannot be drawn from, or that the policy does not know."""
        drawn = self.parameters
        for name in _CHANCES:
            require(0 <= getattr(drawn, name) <= 1, f"views.augment.{name}", getattr(drawn, name), "a chance in [0, 1]")
        for name in _STRENGTHS:
            require(getattr(drawn, name) >= 0, f"views.augment.{name}", getattr(drawn, name), "at least 0")
        require(0 <= drawn.hue <= 0.5, "views.augment.hue", drawn.hue, "in [0, 0.5]")
        require(0 < drawn.min_scale <= 1, "views.augment.min_scale", drawn.min_scale, "above 0, at most 1")
        if drawn.crop == "padded":
            require(
                self.min_scale is None, "views.augment.min_scale", self.min_scale, f"none: {self.policy} has no such"
            )
        if drawn.learnt is not None:
            expected = f"none: {self.policy} takes the place of colour changes"
            for name in (*_STRENGTHS, "hue", "jitter", "grey", "blur"):
                require(getattr(self, name) is None, f"views.augment.{name}", getattr(self, name), expected)
            require(self.where == "workers", "views.augment.where", self.where, f"workers, as {self.policy} needs")

    @property
    def parameters(self) -> Policy:
        """The policy with the values given."""
        own = POLICIES[self.policy]
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        known = {field.name for field in dataclasses.fields(own)}
        return dataclasses.replace(own, **{k: v for k, v in given.items() if v is not None and k in known})
