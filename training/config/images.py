"""Options: the images, and the student's views of them."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field

from mvmr_zoo.errors import ConfigError, require
from mvmr_zoo.images import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from mvmr_zoo.inference import DRAFT_MARGIN
from training.data.augmentation import AugmentConfig
from training.data.sampler import SizeStage


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The images of a run.

    Args:
        train: One source or a list of them: a folder (one subfolder per class, or no classes at all), `parquet:PATH`,
            or `stl10:SPLIT`, `cifar10`, `cifar20`, `cifar100` in `data.root`. Pretraining and distillation use classes
            only for monitoring.
        name: Name of the data on the model card. If empty, it is derived from `train`.
        root: Folder of named data sets.
        limit: Maximum number of training images. The same share of each class is kept. None uses all.
        held_out: Share of each class that is held out for the k-NN callback, in [0, 0.5]. With 0, the callback
            measures on training images, and the output is labeled accordingly.
        workers: Number of processes that prepare views.
        cache: Folder of cached representations and teacher embeddings. Several runs can share it. None uses
            `cache` in `run.output`.
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
    """The student's views of a photo.

    Args:
        sizes: Image sizes, each with the share of the run at which it starts. The first starts at 0.
        encoder_px: Image size of the finished encoder, in pixels. Random crops magnify objects, so about
            1.3 times the last training size works well (Touvron et al., Fixing the train-test resolution
            discrepancy, 2019).
        crop_ratio: Share of the resized photo's short side that the plain view keeps: 0.875 is 224 of 256 px. 1 keeps
            all of it.
        mean: Mean of the RGB values in [0, 1], per channel.
        std: Standard deviation of the same values, per channel. Must be positive.
        augment: The augmented view.
        second: The second augmented view, if a representation needs one. None uses `augment`.
        k: Number K of fixed views per photo. Epoch e uses the crop and flip of view e mod K, so that a teacher
            with `view: same` can be cached. 0 draws new views in every epoch.
        seed: Random seed for the K fixed views.
        mixup: Parameter of the Beta distribution from which the shares of mixed image pairs are drawn (Zhang et al.,
            mixup, 2018). 1 is uniform. 0 disables mixup.
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
        require(0 < self.crop_ratio <= 1, "views.crop_ratio", self.crop_ratio, "a number above 0 and at most 1")
        require(all(map(math.isfinite, self.mean)), "views.mean", self.mean, "three numbers")
        require(all(0 < value < math.inf for value in self.std), "views.std", self.std, "three positive numbers")
        require(min((stage.px for stage in self.sizes), default=8) >= 8, "views.sizes", self.sizes, "px of at least 8")
        require(self.k >= 0, "views.k", self.k, "at least 0")
        require(self.seed >= 0, "views.seed", self.seed, "at least 0")
        require(0 <= self.mixup < math.inf, "views.mixup", self.mixup, "at least 0")
        starts = [stage.start for stage in self.sizes]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)) or starts[-1] >= 1:
            raise ConfigError(
                f"views.sizes has the starts {starts}. They must start at 0 and increase, with all values below 1."
            )

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
        """Least short side of a decoded photo for its K cached views. It is constant, so that crops stay the same."""
        return max(self.smallest_photo_px(self.largest_px), DRAFT_MARGIN * self.preprocess(self.largest_px).resize_px)

    def smallest_photo_px(self, px: int) -> int:
        """The short side below which the smallest crop would be enlarged to reach `px`."""
        return int(px / self.augment.parameters.min_scale**0.5)

    @property
    def encoder_preprocess(self) -> Preprocess:
        """How the finished encoder preprocesses photos."""
        return self.preprocess(self.encoder_px)

    def preprocess(self, px: int) -> Preprocess:
        """The plain view at `px`."""
        return _preprocess(self, px)


@functools.cache
def _preprocess(config: ViewConfig, px: int) -> Preprocess:
    return Preprocess(resize_px=round(px / config.crop_ratio), crop_px=px, mean=config.mean, std=config.std)
