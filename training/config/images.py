"""Options: which images, and how the student sees them."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field

from mvmr_zoo.errors import ConfigError, require
from mvmr_zoo.features import DRAFT_MARGIN
from mvmr_zoo.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from training.data.augmentation import AugmentConfig
from training.data.sampler import SizeStage


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which images.

    Args:
        train: One source or a list of them: a folder (one subfolder per class, or no classes at all), `parquet:PATH`,
            or `stl10:SPLIT`, `cifar10`, `cifar20`, `cifar100` below `root`. Without fine-tuning, classes are only
            used by callbacks.
        name: Name of the data, for the model card. Empty takes it from `train`.
        root: Folder of named data sets.
        limit: Train on at most this many images, the same share of each class. None takes all.
        held_out: Share of each class that is not trained on, for the k-NN callback, in [0, 0.5]. With 0 the callback
            measures on images that are trained on, and says so.
        workers: Processes that prepare views.
        cache: Folder of cached representations and teacher embeddings, which runs may share. None is
            `cache` in the run's output.
    """

    train: str | tuple[str, ...]
    name: str = ""
    root: str | None = None
    limit: int | None = None
    held_out: float = 0.05
    workers: int = 2
    cache: str | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for values out of range."""
        require(len(self.sources) >= 1, "data.train", self.train, "at least one source")
        require(self.limit is None or self.limit >= 1, "data.limit", self.limit, "at least 1")
        require(0 <= self.held_out <= 0.5, "data.held_out", self.held_out, "a share in [0, 0.5]")
        require(self.workers >= 0, "data.workers", self.workers, "at least 0")

    @property
    def sources(self) -> tuple[str, ...]:
        """`train` as a tuple."""
        return (self.train,) if isinstance(self.train, str) else tuple(self.train)


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """How the student sees a photo.

    Args:
        sizes: Image sizes, each from a share of the run on. The first starts at 0.
        encoder_px: The size that the finished encoder reads. Random crops show things larger than they
            are in a whole photo, so about 1.3 times the last training size suits (Touvron et al.,
            Fixing the train-test resolution discrepancy, 2019).
        crop_ratio: The plain view's share of the resized photo's short side: 0.875 is 224 of 256; 1 keeps it whole.
        mean: Of RGB values in [0, 1], by channel.
        std: Likewise, positive.
        augment: The augmented view.
        second: The second augmented view, where a representation needs one. None is `augment`.
        k: Draw crops and flips from K fixed views per photo: the view is a function of photo and epoch mod K.
            0 draws new ones in every epoch. A teacher with `view: same` can then be cached.
        seed: Random seed of the K fixed views.
        mixup: Parameter of the Beta distribution from which the shares of mixed image pairs are drawn (Zhang et al.,
            mixup, 2018). 1 is uniform, 0 mixes nothing.
    """

    sizes: tuple[SizeStage, ...] = (SizeStage(start=0.0, px=96),)
    encoder_px: int = 128
    crop_ratio: float = 0.875
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    second: AugmentConfig | None = None
    k: int = 0
    seed: int = 0
    mixup: float = 0.0

    def __post_init__(self) -> None:
        """Raise ConfigError unless the sizes cover the run in order, and every value is in range."""
        require(self.encoder_px >= 8, "views.encoder_px", self.encoder_px, "at least 8")
        require(0 < self.crop_ratio <= 1, "views.crop_ratio", self.crop_ratio, "above 0, at most 1")
        require(all(map(math.isfinite, self.mean)), "views.mean", self.mean, "three numbers")
        require(all(0 < value < math.inf for value in self.std), "views.std", self.std, "three positive numbers")
        require(min((stage.px for stage in self.sizes), default=8) >= 8, "views.sizes", self.sizes, "px of at least 8")
        require(self.k >= 0, "views.k", self.k, "at least 0")
        require(self.seed >= 0, "views.seed", self.seed, "at least 0")
        require(0 <= self.mixup < math.inf, "views.mixup", self.mixup, "at least 0")
        starts = [stage.start for stage in self.sizes]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)) or starts[-1] >= 1:
            raise ConfigError(f"views.sizes starts at {starts}; expected 0 first, then rising shares below 1.")

    @property
    def second_view(self) -> AugmentConfig:
        """The second augmented view."""
        return self.second or self.augment

    @property
    def largest_px(self) -> int:
        """The largest of `sizes`."""
        return max(stage.px for stage in self.sizes)

    @property
    def cached_view_px(self) -> int:
        """The short side that a photo keeps for its K cached views. It never changes, so that crops stay the same."""
        return max(self.smallest_photo_px(self.largest_px), DRAFT_MARGIN * self.preprocess(self.largest_px).resize_px)

    def smallest_photo_px(self, px: int) -> int:
        """The short side below which the smallest crop would have to be enlarged to `px`."""
        return int(px / self.augment.parameters.min_scale**0.5)

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
