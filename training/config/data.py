"""Options: which images, and how the student sees them."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field

from mvmr_zoo.errors import ConfigError
from mvmr_zoo.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from training.augment import AugmentConfig
from training.require import require


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which images.

    Args:
        train: a folder (one subfolder a class, or no classes at all), `parquet:PATH`, or `stl10:SPLIT`,
            `cifar10`, `cifar20`, `cifar100` below `root`. Without fine-tuning, classes serve the monitors only.
        root: where named data sets lie.
        limit: train on so many images, the same share of each class; None takes all.
        held_out: share of each class kept out of training for the monitor, in [0, 0.5].
        workers: processes that prepare views.
        cache: folder of cached representations and teacher embeddings, which runs may share; None is
            `cache` in the run's output.
    """

    train: str
    root: str | None = None
    limit: int | None = None
    held_out: float = 0.05
    workers: int = 2
    cache: str | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for a share or a number that cannot be."""
        require(self.limit is None or self.limit >= 1, "data.limit", self.limit, "at least 1")
        require(0 <= self.held_out <= 0.5, "data.held_out", self.held_out, "a share in [0, 0.5]")
        require(self.workers >= 0, "data.workers", self.workers, "at least 0")


@dataclass(frozen=True, kw_only=True)
class SizeStage:
    """Views of `px` pixels a side from the share `start` of the run on."""

    start: float
    px: int


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """How the student sees a photo.

    Args:
        sizes: image sizes, each from a share of the run on; the first starts at 0.
        encoder_px: the size the finished encoder reads. Random crops show things larger than they
            are in a whole photo, so about 1.3 times the last training size suits (Touvron et al.,
            Fixing the train-test resolution discrepancy, 2019).
        crop_ratio: the plain view's share of the resized photo's short side: 0.875 is 224 of 256; 1 keeps it whole.
        mean: of RGB values in [0, 1], by channel.
        std: likewise, positive.
        augment: the augmented view.
    """

    sizes: tuple[SizeStage, ...] = (SizeStage(start=0.0, px=96),)
    encoder_px: int = 128
    crop_ratio: float = 0.875
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        """Raise ConfigError unless the sizes cover the run in order, and every value can be used."""
        require(self.encoder_px >= 8, "views.encoder_px", self.encoder_px, "at least 8")
        require(0 < self.crop_ratio <= 1, "views.crop_ratio", self.crop_ratio, "above 0, at most 1")
        require(all(map(math.isfinite, self.mean)), "views.mean", self.mean, "three numbers")
        require(all(0 < value < math.inf for value in self.std), "views.std", self.std, "three positive numbers")
        require(min((stage.px for stage in self.sizes), default=8) >= 8, "views.sizes", self.sizes, "px of at least 8")
        starts = [stage.start for stage in self.sizes]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)) or starts[-1] >= 1:
            raise ConfigError(f"views.sizes starts at {starts}; expected 0 first, then rising shares below 1.")

    @property
    def encoder_preprocess(self) -> Preprocess:
        """How the finished encoder prepares photos."""
        return self.preprocess(self.encoder_px)

    def preprocess(self, px: int) -> Preprocess:
        """The plain view at `px`."""
        return _preprocess(self, px)


@functools.cache
def _preprocess(config: ViewConfig, px: int) -> Preprocess:
    return Preprocess(resize_px=round(px / config.crop_ratio), crop_px=px, mean=config.mean, std=config.std)
