"""The LightningModule of distillation: student, projector, loss, optimiser."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from mvmr_zoo.encoder import Encoder
from mvmr_zoo.errors import TrainingError
from training.config import DistillConfig, OptimConfig
from training.loss import distillation_loss
from training.photos import Example
from training.schedule import warmup_cosine


def projector(input_dim: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Linear layers without bias, batch norm and ReLU between: `(N, input_dim)` to `(N, widths[-1])`."""
    layers: list[nn.Module] = []
    for i, width in enumerate(widths):
        if i:
            layers += [nn.BatchNorm1d(input_dim), nn.ReLU(inplace=True)]
        layers.append(nn.Linear(input_dim, width, bias=False))
        input_dim = width
    return nn.Sequential(*layers)


class Distiller(pl.LightningModule):
    """Trains a student towards a teacher's cached embeddings.

    Args:
        config: the run.
        total_steps: optimiser steps of the whole run.
    """

    def __init__(self, config: DistillConfig, total_steps: int) -> None:
        super().__init__()
        self.config = config
        self.total_steps = total_steps
        self.encoder = Encoder(config.student.architecture, zero_init_residual=config.student.zero_init_residual)
        self.projector = projector(self.encoder.embedding_dim, config.student.projector)
        self.to(memory_format=torch.channels_last)

    def training_step(self, batch: Example, batch_idx: int) -> Tensor:
        """The loss of one batch; every term is logged."""
        z = self.projector(self.encoder(batch.augmented.contiguous(memory_format=torch.channels_last)))
        z0 = None
        if self.config.loss.needs_plain_view:
            z0 = self.projector(self.encoder(batch.plain.contiguous(memory_format=torch.channels_last)))
        terms = distillation_loss(z, z0, batch.teacher, self.config.loss)
        if not torch.isfinite(terms.total):
            culprits = [name for name, term in terms._asdict().items() if not torch.isfinite(term)]
            raise TrainingError(
                f"The loss stopped being a number at step {self.global_step}, in: {', '.join(culprits)}. "
                "Start again with a lower optim.peak_lr and another run.output."
            )
        self.log_dict({f"loss/{name}": term.detach() for name, term in terms._asdict().items()})
        self.log("loss", terms.total.detach(), prog_bar=True, logger=False)
        return terms.total

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimiser, and the learning rate as a function of its step."""
        optim = self.config.optim
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer := make_optimizer(self, optim),
            lambda step: warmup_cosine(
                step,
                warmup_steps=round(optim.warmup * self.total_steps),
                total_steps=self.total_steps,
                final=optim.final_lr,
            ),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def make_optimizer(module: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """The optimiser of a configuration: weight decay on matrices and kernels only."""
    matrices = [p for p in module.parameters() if p.ndim > 1]
    vectors = [p for p in module.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    match config.name:
        case "adam":
            return torch.optim.Adam(groups, lr=config.peak_lr)
        case "adamw":
            return torch.optim.AdamW(groups, lr=config.peak_lr)
        case "sgd":
            return torch.optim.SGD(groups, lr=config.peak_lr, momentum=0.9, nesterov=True)
