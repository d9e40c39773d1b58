"""Every option of a distillation run, as frozen dataclasses checked when they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mvmr_zoo.errors import ConfigError
from training.loss import LossConfig, require

RESERVED_NAMES = ("teacher", "logs", "last.ckpt")
"""What a run writes into its output folder beside the checkpoint folder."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which photos.

    Args:
        train: a folder with one subfolder a class; the classes are used by the monitor only.
        held_out: share of each class kept out of training for the monitor, in [0, 0.5].
        workers: processes that prepare views.
    """

    train: str
    held_out: float = 0.05
    workers: int = 2

    def __post_init__(self) -> None:
        """Raise ConfigError for a share or a number of processes that cannot be."""
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
        min_scale: smallest share of the photo's area a random crop keeps.
        flip: chance of a horizontal flip.
        brightness: colour jitter strength; likewise `contrast`, `saturation`, `hue`.
        contrast: see `brightness`.
        saturation: see `brightness`.
        hue: see `brightness`.
        jitter: chance of colour jitter.
        grey: chance of losing all colour.
        blur: chance of Gaussian blur.
    """

    sizes: tuple[SizeStage, ...] = (SizeStage(start=0.0, px=96),)
    encoder_px: int = 128
    min_scale: float = 0.2
    flip: float = 0.5
    brightness: float = 0.8
    contrast: float = 0.8
    saturation: float = 0.8
    hue: float = 0.2
    jitter: float = 0.8
    grey: float = 0.2
    blur: float = 0.5

    def __post_init__(self) -> None:
        """Raise ConfigError unless the sizes cover the run in order, and every value can be used."""
        require(self.encoder_px >= 8, "views.encoder_px", self.encoder_px, "at least 8")
        require(0 < self.min_scale <= 1, "views.min_scale", self.min_scale, "above 0, at most 1")
        for name in ("brightness", "contrast", "saturation"):
            require(getattr(self, name) >= 0, f"views.{name}", getattr(self, name), "at least 0")
        require(0 <= self.hue <= 0.5, "views.hue", self.hue, "in [0, 0.5]")
        for name in ("flip", "jitter", "grey", "blur"):
            require(0 <= getattr(self, name) <= 1, f"views.{name}", getattr(self, name), "a chance in [0, 1]")
        require(min((stage.px for stage in self.sizes), default=8) >= 8, "views.sizes", self.sizes, "px of at least 8")
        starts = [stage.start for stage in self.sizes]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)) or starts[-1] >= 1:
            raise ConfigError(f"views.sizes starts at {starts}; expected 0 first, then rising shares below 1.")


@dataclass(frozen=True, kw_only=True)
class StudentConfig:
    """What is trained.

    Args:
        architecture: a name in `mvmr_zoo.encoder.BACKBONES`.
        projector: widths of the projector's layers, the last being the embedding's; linear without
            bias, with batch norm and ReLU between.
        zero_init_residual: start every residual branch at zero.
    """

    architecture: str = "resnet18"
    projector: tuple[int, ...] = (2048, 1280)
    zero_init_residual: bool = True

    def __post_init__(self) -> None:
        """Raise ConfigError for a projector without layers."""
        require(min(self.projector, default=0) >= 1, "student.projector", self.projector, "one positive width or more")


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """How it is trained.

    Args:
        name: `adam`, `adamw` or `sgd` (Nesterov momentum 0.9).
        peak_lr: learning rate after warm-up.
        final_lr: share of the peak at the end.
        weight_decay: L2 for `adam` and `sgd`, decoupled for `adamw`; none on vectors (biases, batch norm).
        batch_size: photos a step.
        epochs: passes over the photos.
        warmup: share of the run spent warming up.
    """

    name: Literal["adam", "adamw", "sgd"] = "adamw"
    peak_lr: float = 1e-3
    final_lr: float = 1e-3
    weight_decay: float = 0.05
    batch_size: int = 128
    epochs: float = 30
    warmup: float = 0.05

    def __post_init__(self) -> None:
        """Raise ConfigError for a learning rate or a length no run can use."""
        require(math.isfinite(self.peak_lr) and self.peak_lr > 0, "optim.peak_lr", self.peak_lr, "a positive number")
        require(self.batch_size >= 4, "optim.batch_size", self.batch_size, "at least 4")
        require(math.isfinite(self.epochs) and self.epochs > 0, "optim.epochs", self.epochs, "a positive number")
        require(0 <= self.warmup < 1, "optim.warmup", self.warmup, "a share in [0, 1)")
        require(0 <= self.final_lr <= 1, "optim.final_lr", self.final_lr, "a share in [0, 1]")
        require(self.weight_decay >= 0, "optim.weight_decay", self.weight_decay, "at least 0")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Where things go, and how often.

    Args:
        output: folder for logs, `last.ckpt` and the finished checkpoint folder.
        name: name of the checkpoint folder.
        seed: of initialisation, order and augmentation.
        save_every_steps: how often `last.ckpt` is written.
        monitor_every_steps: how often k-NN accuracy is measured on held-out photos.
        license: of the weights, as written in the checkpoint.
        note: a paragraph for the model card: what a reader of its figures must know.
    """

    output: str
    name: str
    seed: int = 0
    save_every_steps: int = 200
    monitor_every_steps: int = 500
    license: str = "apache-2.0"
    note: str = ""

    def __post_init__(self) -> None:
        """Raise ConfigError for a name that is no folder of its own, or a frequency below one."""
        plain = Path(self.name).name == self.name and self.name not in ("", ".", "..", *RESERVED_NAMES)
        require(plain, "run.name", self.name, f"a plain folder name, and none of {', '.join(RESERVED_NAMES)}")
        require(self.save_every_steps >= 1, "run.save_every_steps", self.save_every_steps, "at least 1")
        require(self.monitor_every_steps >= 1, "run.monitor_every_steps", self.monitor_every_steps, "at least 1")


@dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """A distillation run.

    Args:
        data: which photos.
        views: how the student sees them.
        student: what is trained.
        teacher: model spec of the teacher, as `effnet-lite:0`.
        loss: the terms and their weights.
        optim: how it is trained.
        run: where things go.
    """

    data: DataConfig
    run: RunConfig
    teacher: str = "effnet-lite:0"
    views: ViewConfig = field(default_factory=ViewConfig)
    student: StudentConfig = field(default_factory=StudentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
