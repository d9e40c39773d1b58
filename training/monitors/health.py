"""Logs every term, every dependence and the embeddings' spread, and stops a run that collapses."""

from __future__ import annotations

import pytorch_lightning as pl
import torch

from mvmr_zoo.errors import TrainingError
from training.config import MonitorConfig
from training.learner import Learner
from training.loss import VIEWS
from training.monitors.log import Every, write
from training.monitors.spread import dependence, spread

PATIENCE = 3
"""Checks in a row below the least rank before a run is stopped: one bad batch is no collapse."""


class Health(pl.Callback):
    """Logs `loss/TERM`, `dcor/NAME`, `spread/std` and `spread/rank` every n optimiser steps.

    Args:
        config: how often, and the least effective rank.
    """

    def __init__(self, config: MonitorConfig) -> None:
        self._config = config
        self._low = 0
        self._every = Every(config.every_steps)

    @torch.no_grad()
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        """Look, when it is time; raise TrainingError where the embeddings have collapsed."""
        step = trainer.global_step
        if not self._every.due(step):
            return
        assert isinstance(pl_module, Learner)
        seen = pl_module.seen
        z, z0, references = seen.embedded
        terms = {f"loss/{name}": term.item() for name, term in seen.loss.terms.items()}
        others = {name: rows for name, rows in references.items() if pl_module.objective.weights.get(name, 0) > 0}
        of = spread(z)
        if z0 is not None:
            others = {VIEWS: z0, **others}
        values = terms | {"loss/total": seen.loss.total.item()} | dependence(z, others)
        write(trainer, values | {"spread/std": of.std, "spread/rank": of.rank})
        self._low = self._low + 1 if of.rank < self._config.collapse_rank else 0
        if self._low == PATIENCE and z.shape[1] > 1:
            raise TrainingError(
                f"The embeddings collapsed by step {step}: effective rank {of.rank:.2f}, deviation "
                f"{of.std:.2g}, while the terms read {', '.join(f'{k[5:]} {v:.3g}' for k, v in terms.items())}. "
                f"{_remedy(pl_module)}, or set monitor.collapse_rank to 0 to go on all the same."
            )


def _remedy(module: Learner) -> str:
    if module.objective.loss.variance == 0:
        return "The term `variance`, which keeps them apart, has weight 0: raise loss.variance"
    return "The term `variance` does not hold them apart: raise loss.variance, or lower optim.peak_lr"
