"""The LightningModule of fine-tuning: encoder and linear head, trained on labels."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn import functional as F

from mvmr_zoo.errors import TrainingError
from training.config import FinetuneConfig
from training.examples import Example
from training.network_input import NetworkInput
from training.optimiser import scheduled_optimizer
from training.student import make_encoder


class Classifier(pl.LightningModule):
    """Trains all weights by cross-entropy, the head's from zero.

    Args:
        config: the run.
        classes: how many.
        total_steps: optimiser steps of the whole run.
    """

    def __init__(self, config: FinetuneConfig, classes: int, total_steps: int) -> None:
        super().__init__()
        self.config = config
        self.total_steps = total_steps
        self.pixels = NetworkInput(config.views)
        self.encoder = make_encoder(config.student)
        self.head = nn.Linear(self.encoder.embedding_dim, classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.to(memory_format=torch.channels_last)

    def training_step(self, batch: Example, batch_idx: int) -> Tensor:
        """The cross-entropy of one batch."""
        with torch.autocast(self.device.type, enabled=False):  # fixed functions of pixels stay in fp32
            augmented = self.pixels.augmented(batch)
        logits = self.head(self.encoder(self.pixels(augmented)))
        loss = F.cross_entropy(logits.float(), batch.label, label_smoothing=self.config.label_smoothing)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"The loss stopped being a number at step {self.global_step}, in cross_entropy. "
                "The last checkpoint is good; start again with a lower optim.peak_lr and another run.output."
            )
        accuracy = (logits.argmax(dim=1) == batch.label).float().mean()
        self.log_dict({"loss/cross_entropy": loss.detach(), "train/accuracy": accuracy})
        return loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimiser, and the learning rate as a function of its step."""
        return scheduled_optimizer(self, self.config.optim, self.total_steps)
