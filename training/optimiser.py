"""The optimiser of a configuration, with its learning rate as a function of the step."""

from __future__ import annotations

import functools

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
    factor = functools.partial(
        warmup_cosine,
        warmup_steps=round(config.warmup * total_steps),
        total_steps=total_steps,
        final=config.final_lr,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
