"""Options: what is trained, and how."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from mvmr_zoo.encoder import BACKBONES
from training.require import require


@dataclass(frozen=True, kw_only=True)
class StudentConfig:
    """What is trained.

    Args:
        architecture: a name in `mvmr_zoo.encoder.BACKBONES`.
        projector: widths of the projector's layers, the last being the embedding's; linear without
            bias, with batch norm and ReLU between. The paper's: 8192, 8192, 8192.
        zero_init_residual: start every residual branch at zero.
        start_from: model spec of a checkpoint of the same architecture whose weights the encoder starts
            from, and the projector too where one of these widths was kept; None starts from random ones.
    """

    architecture: str = "resnet18"
    projector: tuple[int, ...] = (2048, 1280)
    zero_init_residual: bool = True
    start_from: str | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for an unknown architecture or a projector without layers."""
        known = f"one of {', '.join(BACKBONES)}"
        require(self.architecture in BACKBONES, "student.architecture", self.architecture, known)
        require(min(self.projector, default=0) >= 1, "student.projector", self.projector, "one positive width or more")


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """How it is trained.

    Args:
        name: `adam`, `adamw`, `sgd` (Nesterov momentum 0.9) or `lars` (momentum 0.9).
        peak_lr: learning rate after warm-up.
        final_lr: share of the peak at the end.
        weight_decay: L2 for `adam`, `sgd` and `lars`, decoupled for `adamw`; none on vectors (biases, batch norm).
        batch_size: images of one loss, over all processes together.
        accumulate: batches whose losses are averaged into one optimiser step.
        clip_norm: largest L2 norm of the whole gradient; None leaves it.
        epochs: passes over the images.
        warmup: share of the run spent warming up.
    """

    name: Literal["adam", "adamw", "sgd", "lars"] = "adamw"
    peak_lr: float = 1e-3
    final_lr: float = 1e-3
    weight_decay: float = 0.05
    batch_size: int = 128
    accumulate: int = 1
    clip_norm: float | None = None
    epochs: float = 30
    warmup: float = 0.05

    def __post_init__(self) -> None:
        """Raise ConfigError for a learning rate or a length no run can use."""
        require(math.isfinite(self.peak_lr) and self.peak_lr > 0, "optim.peak_lr", self.peak_lr, "a positive number")
        require(self.batch_size >= 4, "optim.batch_size", self.batch_size, "at least 4")
        require(self.accumulate >= 1, "optim.accumulate", self.accumulate, "at least 1")
        positive = self.clip_norm is None or (math.isfinite(self.clip_norm) and self.clip_norm > 0)
        require(positive, "optim.clip_norm", self.clip_norm, "a positive number")
        require(math.isfinite(self.epochs) and self.epochs > 0, "optim.epochs", self.epochs, "a positive number")
        require(0 <= self.warmup < 1, "optim.warmup", self.warmup, "a share in [0, 1)")
        require(0 <= self.final_lr <= 1, "optim.final_lr", self.final_lr, "a share in [0, 1]")
        decays = math.isfinite(self.weight_decay) and self.weight_decay >= 0
        require(decays, "optim.weight_decay", self.weight_decay, "at least 0")
