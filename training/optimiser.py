"""The optimiser of a configuration, with its learning rate as a function of the step."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import nn

from training.config import OptimConfig
from training.lars import LARS
from training.schedule import warmup_cosine


def make_optimizer(module: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """The optimiser: weight decay on matrices and kernels only."""
    matrices = [p for p in module.parameters() if p.ndim > 1]
    vectors = [p for p in module.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    match config.name:
        case "adam":
            return torch.optim.Adam(groups, lr=config.peak_lr)
        case "adamw":
            return torch.optim.AdamW(groups, lr=config.peak_lr)
        case "sgd":
            return torch.optim.SGD(groups, lr=config.peak_lr, momentum=0.9, nesterov=True)
        case "lars":
            return LARS(groups, lr=config.peak_lr)


def scheduled_optimizer(module: nn.Module, config: OptimConfig, total_steps: int) -> OptimizerLRSchedulerConfig:
    """What `LightningModule.configure_optimizers` returns: optimiser and schedule over `total_steps`."""
    optimizer = make_optimizer(module, config)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _factor(config, total_steps))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def reschedule(
    optimizer: dict[str, Any], schedule: dict[str, Any], config: OptimConfig, step: int, total_steps: int
) -> None:
    """Change saved states so that they go on by a configuration from `step` on, of `total_steps`.

    Args:
        optimizer: state of what `make_optimizer` made.
        schedule: state of its schedule.
        config: learning rate, schedule and weight decay.
        step: optimiser steps done.
        total_steps: of the whole run.
    """
    groups = optimizer["param_groups"]
    for group, decay in zip(groups, (config.weight_decay, 0.0), strict=True):
        group["initial_lr"] = config.peak_lr
        group["lr"] = config.peak_lr * _factor(config, total_steps)(step)
        group["weight_decay"] = decay
    schedule["base_lrs"] = [config.peak_lr] * len(groups)
    schedule["_last_lr"] = [group["lr"] for group in groups]


def _factor(config: OptimConfig, total_steps: int) -> Callable[[int], float]:
    """From the optimiser step to the share of the peak learning rate."""
    return functools.partial(
        warmup_cosine, warmup_steps=round(config.warmup * total_steps), total_steps=total_steps, final=config.final_lr
    )
