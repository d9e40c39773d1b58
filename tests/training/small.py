"""The smallest real run of each command, in this process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from training.command import execute

from mvmr_zoo.checkpoint import read_checkpoint
from training.config import DistillConfig, FinetuneConfig, PretrainConfig
from training.distill import run as distill
from training.finetune import run as finetune
from training.pretrain import run as pretrain

COMMANDS = {
    "pretrain": (PretrainConfig, pretrain),
    "distill": (DistillConfig, distill),
    "finetune": (FinetuneConfig, finetune),
}
NAME = "small"


def train(command: str, photos: Path, output: Path, *more: object) -> int:
    """Run a command; its exit code."""
    options: dict[str, object] = {
        "data.train": photos,
        "data.held_out": 0.2,
        "data.workers": 0,
        "run.output": output,
        "run.name": NAME,
        "run.save_every_steps": 2,
        "views.sizes": "[{start: 0.0, px: 32}]",
        "views.encoder_px": 32,
        "student.architecture": "resnet8",
        "student.projector": "[32, 32]",
        "optim.batch_size": 8,
        "optim.epochs": 2,
        "optim.warmup": 0,
        "monitor.every_steps": 1,
        "trainer.tensorboard": "false",
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    return execute(*COMMANDS[command], None, [*words, *(str(word) for word in more)])


def weights(output: Path) -> dict[str, NDArray[np.generic]]:
    """Of the finished encoder."""
    return dict(read_checkpoint(output / NAME).weights())
