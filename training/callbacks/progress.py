"""A progress bar with step, loss, images per second and time left, or lines if there is no terminal."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import Any

import pytorch_lightning as pl
import torch
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

from mvmr_zoo._io import counted
from training.console import LINE_SECONDS, duration, say, terminal

_DRAW_SECONDS = 0.5
_RATE_SECONDS = 60
"""The speed is measured over the last minute, so that it follows changes in the load of the machine."""


class Progress(pl.Callback):
    """Draws a bar on standard error if it is a terminal.

    Otherwise it prints a line at the first step, every minute, and at the last step. Only the first process shows
    progress. Lines that are printed while the bar is shown appear above it.

    Args:
        batch_size: Images per batch, over all processes.
        workers: Number of processes that prepare views.
    """

    def __init__(self, batch_size: int, workers: int) -> None:
        self._batch_size = batch_size
        self._workers = workers
        self._bar: Bar | None = None
        self._task = TaskID(0)
        self._shown = 0.0
        self._times: deque[tuple[float, int]] = deque()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the size of the run, and start the bar at the first step."""
        if not trainer.is_global_zero:
            return
        self._start = self._done = trainer.global_step
        if self._start:
            say(f"Resuming from step {self._start:,} ({trainer.ckpt_path})")
        processes = f", {trainer.world_size} processes" if trainer.world_size > 1 else ""
        accumulated = trainer.accumulate_grad_batches
        several = f" in {accumulated} batches" if accumulated > 1 else ""
        say(
            f"Training {trainer.max_steps - self._start:,} steps of {self._batch_size * accumulated:,} images"
            f"{several} on {_device(trainer.strategy.root_device)}{processes}"
        )
        if (console := terminal()) is not None:
            columns = (TextColumn("Training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[facts]}"))
            self._bar = Bar(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty())
            facts = f"starting {self._workers} workers" if self._workers else "first step"
            self._task = self._bar.add_task("", total=trainer.max_steps, completed=self._start, facts=facts)
            self._bar.start()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: object) -> None:
        """Show the step."""
        step = trainer.global_step
        if not trainer.is_global_zero or step == self._done:  # a micro-batch finishes no step
            return
        self._done = step
        now = time.monotonic()
        at_end = step in (self._start + 1, trainer.max_steps)
        if not at_end and now - self._shown < (_DRAW_SECONDS if self._bar else LINE_SECONDS):
            return
        self._shown = now
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        facts = [f"loss {loss.item() * trainer.accumulate_grad_batches:.3f}"] if isinstance(loss, torch.Tensor) else []
        if (seconds := self._step_seconds(now, step)) is not None:
            images = self._batch_size * trainer.accumulate_grad_batches
            left = (trainer.max_steps - step) * seconds
            facts += [f"{images / seconds:,.0f} images/s", f"{duration(left)} left" if left else "done"]
        if self._bar is not None:
            self._bar.update(self._task, completed=step, facts=", ".join(facts))
        if self._bar is None or step == trainer.max_steps:
            say(f"Step {step:,} of {trainer.max_steps:,}: {', '.join(facts)}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove the bar."""
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Remove the bar, so that the error message is printed on its own lines."""
        self._stop()

    def _step_seconds(self, now: float, step: int) -> float | None:
        """Seconds per step over the last minute; None at the first step, which includes the start of the workers."""
        self._times.append((now, step))
        while len(self._times) > 2 and now - self._times[0][0] > _RATE_SECONDS:
            self._times.popleft()
        began, first = self._times[0]
        return (now - began) / (step - first) if step > first else None

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _device(device: torch.device) -> str:
    """`cpu with 2 threads`, or the name of the GPU."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu with {counted(torch.get_num_threads(), 'thread')}" if device.type == "cpu" else str(device)
