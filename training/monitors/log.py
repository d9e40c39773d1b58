"""Writing what a monitor found to every logger of the run."""

from __future__ import annotations

from collections.abc import Mapping

import pytorch_lightning as pl


def write(trainer: pl.Trainer, values: Mapping[str, float]) -> None:
    """Log `values` at the present optimiser step, on the process that logs."""
    for logger in trainer.loggers:
        logger.log_metrics(dict(values), step=trainer.global_step)
