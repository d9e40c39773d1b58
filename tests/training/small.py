"""The smallest real run of each command, in this process."""

from __future__ import annotations

import csv
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray

from mvmr_zoo.checkpoint import read_checkpoint
from training.checkpointing import CheckpointWriter
from training.cli import main

NAME = "small"
EVERY_STEP = "--run.save_every_minutes=1e-6"
QUIET = "--monitor.knn_every_epochs=0"
PIXELS = "--representations.terms=[{kind: pixels}]"
OFF = ("--loss.invariance=0", "--loss.variance=0", "--loss.views=0")


def words(photos: Path, output: Path, *more: object) -> list[str]:
    """The command line of a run of 4 steps on 24 photos."""
    options: dict[str, object] = {
        "data.train": photos,
        "data.held_out": 0.2,
        "data.workers": 0,
        "run.output": output,
        "run.name": NAME,
        "views.sizes": "[{start: 0.0, px: 32}]",
        "views.encoder_px": 32,
        "student.architecture": "resnet8",
        "student.projector": "[32, 32]",
        "optim.batch_size": 8,
        "optim.epochs": 2,
        "optim.warmup": 0,
        "monitor.every_steps": 1,
    }
    return [*(f"--{name}={value}" for name, value in options.items()), *(str(word) for word in more)]


def train(command: str, photos: Path, output: Path, *more: object) -> int:
    """Run a command; its exit code."""
    with one_thread():
        return main(command, None, words(photos, output, *more))


def weights(output: Path) -> dict[str, NDArray[np.generic]]:
    """Of the finished encoder."""
    return dict(read_checkpoint(output / NAME).weights())


def same_weights(found: Path, expected: Path, atol: float = 0) -> None:
    """Assert that two runs ended with the same encoder."""
    wanted = weights(expected)
    for name, tensor in weights(found).items():
        np.testing.assert_allclose(tensor, wanted[name], rtol=0, atol=atol, err_msg=name)


def logged(output: Path, name: str = "loss/total") -> list[dict[str, str]]:
    """The rows of the first log that have a value of this name."""
    with (output / "logs" / "version_0" / "metrics.csv").open() as file:
        return [row for row in csv.DictReader(file) if row.get(name)]


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums depend on how many threads share them; other libraries in this process may have changed the number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def stop_at_step(patch: pytest.MonkeyPatch, step: int) -> None:
    """Send this process SIGTERM as it finishes a step."""
    finish = CheckpointWriter.on_train_batch_end

    def stop(self: CheckpointWriter, trainer: pl.Trainer, *more: object) -> None:
        if trainer.global_step == step:
            assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL  # else this would end the tests
            signal.raise_signal(signal.SIGTERM)
        finish(self, trainer, *more)

    patch.setattr(CheckpointWriter, "on_train_batch_end", stop)
