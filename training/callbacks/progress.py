"""A progress bar with step, loss, images per second and time left; lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

LINE_SECONDS = 60
"""Seconds between two lines where standard error is not a terminal."""


class Progress(pl.Callback):
    """Draws on standard error: a bar on a terminal, else one line a minute and at both ends.

    Args:
        batch_size: Images per batch, over all processes.
    """

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._bar: Bar | None = None
        self._printed = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the bar at the step that training starts from."""
        if not trainer.is_global_zero:
            return
        self._start, self._began = trainer.global_step, time.monotonic()
        device = trainer.strategy.root_device
        print(
            f"Training steps {self._start + 1:,} to {trainer.max_steps:,} on {device}, "
            f"{self._batch_size} images a batch",
            flush=True,
        )
        if sys.stderr.isatty():
            columns = (
                TextColumn("step"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[facts]}"),
                TimeRemainingColumn(),
            )
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=trainer.max_steps, completed=self._start, facts="")
            self._bar.start()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: object) -> None:
        """Show the step."""
        if not trainer.is_global_zero:
            return
        now, step = time.monotonic(), trainer.global_step
        due = now - self._printed >= (0.5 if self._bar else LINE_SECONDS)
        if not due and step not in (self._start + 1, trainer.max_steps):
            return
        self._printed = now
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        loss = loss.item() if isinstance(loss, torch.Tensor) else float("nan")
        done = max(1, step - self._start)
        rate = done * self._batch_size * trainer.accumulate_grad_batches / (now - self._began)
        facts = f"loss {loss:.3f} · {rate:,.0f} images/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=step, facts=facts)
        else:
            left = (trainer.max_steps - step) * (now - self._began) / done
            print(
                f"Step {step:,} of {trainer.max_steps:,}: {facts}, {_duration(left)} left", file=sys.stderr, flush=True
            )

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _duration(seconds: float) -> str:
    """`45 s`, `12 min` or `3.2 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
