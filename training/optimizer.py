"""The optimizer of a configuration, with its learning rate as a pure function of the optimizer step."""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import nn

from training.config import OptimConfig


def make_optimizer(module: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """The optimizer. Weight decay applies to matrices and kernels, and to vectors only with `decay_vectors`."""
    matrices = [p for p in module.parameters() if p.ndim > 1]
    vectors = [p for p in module.parameters() if p.ndim <= 1]
    decays = _decays(config)
    groups = [{"params": p, "weight_decay": decay} for p, decay in zip((matrices, vectors), decays, strict=True)]
    match config.name:
        case "adam":
            return torch.optim.Adam(groups, lr=config.peak_lr)
        case "adamw":
            return torch.optim.AdamW(groups, lr=config.peak_lr)
        case "sgd":
            return torch.optim.SGD(groups, lr=config.peak_lr, momentum=0.9, nesterov=True)


def scheduled_optimizer(module: nn.Module, config: OptimConfig, total_steps: int) -> OptimizerLRSchedulerConfig:
    """The optimizer and its schedule over `total_steps`, for `LightningModule.configure_optimizers`."""
    optimizer = make_optimizer(module, config)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, functools.partial(lr_factor, config, total_steps))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def reschedule(
    optimizer: dict[str, Any], schedule: dict[str, Any], config: OptimConfig, step: int, total_steps: int
) -> None:
    """Change saved states so that they continue from `step` with another configuration.

    Args:
        optimizer: State of the optimizer.
        schedule: State of its schedule.
        config: The new learning rate, schedule and weight decay.
        step: Number of finished optimizer steps.
        total_steps: Optimizer steps of the whole run.
    """
    groups = optimizer["param_groups"]
    for group, decay in zip(groups, _decays(config), strict=True):
        group["initial_lr"] = config.peak_lr
        group["lr"] = config.peak_lr * lr_factor(config, total_steps, step)
        group["weight_decay"] = decay
    schedule["base_lrs"] = [config.peak_lr] * len(groups)
    schedule["_last_lr"] = [group["lr"] for group in groups]


def lr_factor(config: OptimConfig, total_steps: int, step: int) -> float:
    """The share of the peak learning rate at a step.

    The warm-up rises linearly from `initial_lr` to 1, or stays at 1. `cosine` then falls by half a cosine to
    `final_lr`. `wsd` stays at 1 and decays in its last part as `1 - sqrt(progress)` (Hägele et al., Scaling laws and
    compute-optimal training beyond fixed training durations, 2024).

    Args:
        config: The schedule.
        total_steps: Optimizer steps of the whole run. After them, the factor stays at `final_lr`.
        step: Number of finished optimizer steps, from 0.
    """
    warmup_steps = round(config.warmup * total_steps)
    if step < warmup_steps:
        if config.warmup_shape == "constant":
            return 1.0
        if config.initial_lr is None:
            return (step + 1) / warmup_steps
        return config.initial_lr + (1 - config.initial_lr) * step / warmup_steps
    start = warmup_steps if config.schedule == "cosine" else max(warmup_steps, round((1 - config.decay) * total_steps))
    progress = min(1.0, max(0.0, (step - start) / max(1, total_steps - start)))
    fall = 0.5 * (1 + math.cos(math.pi * progress)) if config.schedule == "cosine" else 1 - math.sqrt(progress)
    return config.final_lr + (1 - config.final_lr) * fall


def _decays(config: OptimConfig) -> tuple[float, float]:
    """The weight decay of matrices and of vectors."""
    return config.weight_decay, config.weight_decay if config.decay_vectors else 0.0
