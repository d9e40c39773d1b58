"""Decides when a callback measures, and logs its values."""

from __future__ import annotations

from collections.abc import Mapping

import pytorch_lightning as pl
from torch import Tensor


def write(trainer: pl.Trainer, values: Mapping[str, float]) -> None:
    """Log `values` at the current optimizer step, on the process that logs."""
    for logger in trainer.loggers:
        logger.log_metrics(dict(values), step=trainer.global_step)


class Every:
    """Decides when to measure: every n optimizer steps, and at the first and the last step.

    Args:
        steps: Number n of steps, at least 1.
        ends: Whether to measure at the first and the last step too.
    """

    def __init__(self, steps: int, *, ends: bool = True) -> None:
        self._steps = steps
        self._ends = ends
        self._last = 0

    def due(self, step: int, total_steps: int) -> bool:
        """Whether to measure at `step`, from 1 to `total_steps`. Micro-batches of one step count once."""
        at_end = self._ends and step in (1, total_steps)
        if step == 0 or step == self._last or (step % self._steps and not at_end):
            return False
        self._last = step
        return True


class LogValues(pl.Callback):
    """Logs what a module leaves in `logged`, every n optimizer steps.

    Args:
        every_steps: N, at least 1.
    """

    def __init__(self, every_steps: int) -> None:
        self._every = Every(every_steps)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        """Log when it is time."""
        if self._every.due(trainer.global_step, trainer.max_steps):
            values: Mapping[str, Tensor] = pl_module.logged  # type: ignore[assignment]
            write(trainer, {name: value.item() for name, value in values.items()})
