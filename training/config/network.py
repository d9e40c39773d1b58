"""Options: the student network and its optimizer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from mvmr_zoo.architectures import check_architecture
from mvmr_zoo.errors import require


@dataclass(frozen=True, kw_only=True)
class StudentConfig:
    """The network that is trained.

    Args:
        architecture: `resnet18`, `resnet18-small`, `resnet50`, `resnet50-small`, `resnet8`, `resnet8x4`, or the name of
            a classification network of torchvision or timm, or `effnet-lite:0`, `1` or `2`.
        projector: Widths of the projector's layers. The last is the embedding dimension. The layers are linear without
            bias, with batch norm and ReLU between them. The paper uses 8192, 8192, 8192.
        zero_init_residual: Start every residual branch at zero, in networks whose branches end in a scaling layer.
        start_from: Model spec of a checkpoint of the same architecture. The encoder starts from its weights. So does
            the projector, if the checkpoint has one with the same widths. With the architecture `effnet-lite:0`, the
            spec `effnet-lite:0` starts from its ImageNet weights. None starts from random weights.
        freeze_batch_norm: Keep the batch norm statistics of `start_from` fixed. Scales and shifts are trained. Useful
            in short runs, where re-estimating the statistics would reduce accuracy at first.
        fit_projector: Initialize a one-layer projector by ridge regression from the encoder's features to the teacher's
            embeddings (on the first training images) instead of at random.
    """

    architecture: str = "resnet18"
    projector: tuple[int, ...] = (2048, 1280)
    zero_init_residual: bool = True
    start_from: str | None = None
    freeze_batch_norm: bool = False
    fit_projector: bool = False

    def __post_init__(self) -> None:
        """Raise ConfigError for an unknown architecture, a projector without layers, or options that conflict."""
        check_architecture(self.architecture)
        require(min(self.projector, default=0) >= 1, "student.projector", self.projector, "at least one positive width")
        require(
            not self.freeze_batch_norm or self.start_from is not None,
            "student.freeze_batch_norm",
            self.freeze_batch_norm,
            "false, or a value of student.start_from, whose statistics are used",
        )
        require(
            not self.fit_projector or len(self.projector) == 1,
            "student.fit_projector",
            self.fit_projector,
            "false, or one width in student.projector",
        )


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
