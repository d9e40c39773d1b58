"""Options: the optimizer and its schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from mvmr_zoo.errors import require


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """The optimizer and its schedule.

    Args:
        name: `adam`, `adamw` or `sgd` (Nesterov momentum 0.9).
        peak_lr: Learning rate after the warm-up.
        final_lr: Learning rate at the end, as a share of the peak in [0, 1].
        weight_decay: L2 for `adam` and `sgd`, decoupled for `adamw`.
        decay_vectors: Apply weight decay to biases and batch norm parameters too, as the paper's released runs do.
        batch_size: Images per loss computation, summed over all processes.
        accumulate: Number of batches whose losses are averaged into one optimizer step.
        clip_norm: Largest L2 norm of the whole gradient. None disables clipping.
        epochs: Passes over the images.
        schedule: `cosine` decays from the end of the warm-up on. `wsd` (warmup, stable, decay) stays at the peak, then
            decays during the last part of the run (`decay`). A run that is still at the peak can be extended.
        warmup: Length of the warm-up as a share of the run, in [0, 1).
        warmup_shape: `linear` rises to the peak. `constant` stays at it, as the paper's released distillations do.
        initial_lr: Learning rate at the first step of a linear warm-up, as a share of the peak in [0, 1]. None uses
            1 / (warm-up steps).
        decay: Share of the run in which `wsd` decays, in (0, 1).
        ema: Decay of an exponential moving average of the weights, in [0, 1). The finished encoder has the averaged
            weights. 0 disables it.
    """

    name: Literal["adam", "adamw", "sgd"] = "adamw"
    peak_lr: float = 1e-3
    final_lr: float = 1e-3
    weight_decay: float = 0.05
    decay_vectors: bool = False
    batch_size: int = 128
    accumulate: int = 1
    clip_norm: float | None = None
    epochs: float = 30
    schedule: Literal["cosine", "wsd"] = "cosine"
    warmup: float = 0.05
    warmup_shape: Literal["linear", "constant"] = "linear"
    initial_lr: float | None = None
    decay: float = 0.2
    ema: float = 0.0

    def __post_init__(self) -> None:
        """Raise ConfigError for values out of range."""
        require(math.isfinite(self.peak_lr) and self.peak_lr > 0, "optim.peak_lr", self.peak_lr, "a positive number")
        require(self.batch_size >= 4, "optim.batch_size", self.batch_size, "at least 4")
        require(self.accumulate >= 1, "optim.accumulate", self.accumulate, "at least 1")
        positive = self.clip_norm is None or (math.isfinite(self.clip_norm) and self.clip_norm > 0)
        require(positive, "optim.clip_norm", self.clip_norm, "a positive number")
        require(math.isfinite(self.epochs) and self.epochs > 0, "optim.epochs", self.epochs, "a positive number")
        require(0 <= self.warmup < 1, "optim.warmup", self.warmup, "a share in [0, 1)")
        require(0 < self.decay < 1, "optim.decay", self.decay, "a share in (0, 1)")
        require(0 <= self.final_lr <= 1, "optim.final_lr", self.final_lr, "a share in [0, 1]")
        initial_lr = 0 if self.initial_lr is None else self.initial_lr
        require(0 <= initial_lr <= 1, "optim.initial_lr", self.initial_lr, "a share in [0, 1]")
        require(
            self.initial_lr is None or self.warmup_shape == "linear",
            "optim.initial_lr",
            self.initial_lr,
            "no value with optim.warmup_shape: constant",
        )
        require(0 <= self.ema < 1, "optim.ema", self.ema, "in [0, 1)")
        decays = math.isfinite(self.weight_decay) and self.weight_decay >= 0
        require(decays, "optim.weight_decay", self.weight_decay, "at least 0")
