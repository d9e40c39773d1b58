"""The LightningModule of pretraining and distillation: encoder, projector, objective, optimiser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from mvmr_zoo.errors import TrainingError
from training.config import TaskConfig
from training.config.references import AUGMENTED_PIXELS
from training.examples import Example
from training.loss import Embedded, LossTerms
from training.memory import Memory
from training.network_input import NetworkInput
from training.objective import Objective
from training.optimiser import scheduled_optimizer
from training.student import make_encoder, make_projector


class Seen(NamedTuple):
    """What the last batch gave, of all ranks together, without gradient: what monitors look at.

    Shapes: `features` `(N, D)` of the augmented view; `labels` `(N,)`, -1 where unknown.
    """

    features: Tensor
    labels: Tensor
    embedded: Embedded
    loss: LossTerms


class Learner(pl.LightningModule):
    """Trains an encoder by an objective.

    Args:
        config: the run.
        objective: what is minimised.
        live: references computed in every step, from `Example.source`.
        total_steps: optimiser steps of the whole run.
    """

    seen: Seen

    def __init__(
        self,
        config: TaskConfig,
        objective: Objective,
        live: Mapping[str, Callable[[Tensor], Tensor]],
        total_steps: int,
    ) -> None:
        super().__init__()
        self.config = config
        self.objective = objective
        self.live = live
        self.total_steps = total_steps
        self.memory = Memory(objective.loss.memory) if objective.loss.memory else None
        self.encoder = make_encoder(config.student)
        self.projector = make_projector(config.student, self.encoder.embedding_dim)
        self.pixels = NetworkInput(config.views)
        self.to(memory_format=torch.channels_last)

    def training_step(self, batch: Example, batch_idx: int) -> Tensor:
        """The loss of one batch, over all ranks; what monitors need is left in `seen`."""
        with torch.autocast(self.device.type, enabled=False):  # fixed functions of pixels stay in fp32
            augmented, references = self.pixels.augmented(batch), self._references(batch)
        features = self.encoder(self.pixels(augmented))
        z0 = self.projector(self.encoder(self.pixels(batch.plain))) if batch.plain.numel() else None
        mine = Embedded(self.projector(features), z0, references)
        joined = Embedded(
            self._gather(mine.z),
            None if mine.z0 is None else self._gather(mine.z0),
            {name: self._gather(rows) for name, rows in mine.references.items()},
        )
        loss = self.objective(joined, self.memory.past(joined) if self.memory else None)
        if not torch.isfinite(loss.total):
            culprits = [name for name, term in loss.terms.items() if not torch.isfinite(term)]
            raise TrainingError(
                f"The loss stopped being a number at step {self.global_step}, in {', '.join(culprits) or 'the sum'}. "
                "The last checkpoint is good; start again with a lower optim.peak_lr and another run.output."
            )
        if self.memory:
            self.memory.push(joined)
        with torch.no_grad():
            self.seen = Seen(self._gather(features.detach()), self._gather(batch.label), joined, loss)
        self.log("loss", loss.total.detach(), prog_bar=True, logger=False)
        return loss.total

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimiser, and the learning rate as a function of its step."""
        return scheduled_optimizer(self, self.config.optim, self.total_steps)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the memory of past embeddings."""
        if self.memory:
            checkpoint["memory"] = self.memory.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it back."""
        if self.memory:
            self.memory.load_state_dict(checkpoint.get("memory", {}))

    @torch.no_grad()
    def _references(self, batch: Example) -> dict[str, Tensor]:
        found = dict(batch.references)
        found |= {name: compute(batch.source) for name, compute in self.live.items()}
        if AUGMENTED_PIXELS in self.objective.weights:
            found[AUGMENTED_PIXELS] = self.pixels.other(batch).flatten(1)
        return found

    def _gather(self, rows: Tensor) -> Tensor:
        """The rows of every rank, in rank order, with gradients: `(n, D)` to `(N, D)`.

        Every rank computes the loss of the whole batch; the gradients that flow back are summed over
        ranks, and the trainer averages parameters' gradients, so the step is one process's own.
        """
        if self.trainer.world_size == 1:
            return rows
        gathered = self.all_gather(rows, sync_grads=rows.requires_grad)
        assert isinstance(gathered, Tensor)
        return gathered.flatten(0, 1)
