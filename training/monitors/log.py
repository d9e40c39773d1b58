"""When a monitor looks, and writing what it found to every logger of the run."""

from __future__ import annotations

from collections.abc import Mapping

import pytorch_lightning as pl


def write(trainer: pl.Trainer, values: Mapping[str, float]) -> None:
    """Log `values` at the present optimiser step, on the process that logs."""
    for logger in trainer.loggers:
        logger.log_metrics(dict(values), step=trainer.global_step)


class Every:
    """Says once every n optimiser steps that it is time, however many batches a step takes.

    Args:
        steps: n, at least 1.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._last = 0

    def due(self, step: int) -> bool:
        """Whether it is time at `step`, from 1."""
        if step % self._steps or step == self._last:
            return False
        self._last = step
        return True
