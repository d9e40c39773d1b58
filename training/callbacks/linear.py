"""A linear head trained beside the encoder on detached features, which shows how separable the classes are."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F

from training.callbacks.log import Every, write
from training.module import MVMRModule


class OnlineLinear(pl.Callback):
    """Logs `linear/accuracy` and `linear/loss` of a batch, measured before the head is trained on it.

    The head has its own optimizer. Checkpoints contain the state of both. No gradient reaches the encoder.

    Args:
        classes: Number of classes.
        lr: Learning rate of Adam.
        every_steps: Optimizer steps between log entries.
    """

    def __init__(self, classes: int, lr: float, every_steps: int) -> None:
        self._classes = classes
        self._lr = lr
        self._every = Every(every_steps)
        self._state: dict[str, Any] = {}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make the head, or restore it from the checkpoint."""
        assert isinstance(pl_module, MVMRModule)
        with torch.random.fork_rng(devices=[]):  # the head must not change the random numbers of the run
            head = nn.Linear(pl_module.encoder.embedding_dim, self._classes)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        self._norm = nn.BatchNorm1d(pl_module.encoder.embedding_dim, affine=False).to(pl_module.device)
        self._head = head.to(pl_module.device)
        self._optimizer = torch.optim.Adam(self._head.parameters(), lr=self._lr)
        if self._state:
            self._norm.load_state_dict(self._state["norm"])
            self._head.load_state_dict(self._state["head"])
            self._optimizer.load_state_dict(self._state["optimizer"])
            self._optimizer.param_groups[0]["lr"] = self._lr

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        """One step of the head on the labeled images of the batch."""
        assert isinstance(pl_module, MVMRModule)
        features, labels = pl_module.record.features, pl_module.record.labels
        known = labels >= 0
        if known.sum() < 2:
            return
        with torch.enable_grad(), torch.autocast(features.device.type, enabled=False):
            logits = self._head(self._norm(features[known].float()))
            loss = F.cross_entropy(logits, labels[known])
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        if self._every.due(trainer.global_step, pl_module.total_steps):
            accuracy = (logits.argmax(dim=1) == labels[known]).float().mean()
            write(trainer, {"linear/accuracy": accuracy.item(), "linear/loss": loss.item()})

    def state_dict(self) -> dict[str, Any]:
        """State of the head, its feature statistics and its optimizer."""
        return {
            "norm": self._norm.state_dict(),
            "head": self._head.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep a checkpoint's state until the head is made."""
        self._state = state_dict
