"""The LightningModules: MVMRModule for pretraining and distillation, Classifier for fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Self

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn import functional as F

from mvmr_zoo.errors import TrainingError
from training.config import FinetuneConfig, TaskConfig, ViewConfig
from training.config.objective import AUGMENTED_PIXELS
from training.data import Example, color_batch
from training.losses import DistillationLoss, LossTerms, MVMRLoss
from training.losses.regression import TEACHER
from training.optimizer import scheduled_optimizer
from training.student import freeze_batch_norm, make_encoder, make_projector, ridge_regression
from training.targets.representations import count_sketch

SKETCH_DIM = 8192
"""Wider representations are projected to this dimension before processes exchange them."""


class StepRecord(NamedTuple):
    """The last batch over all processes, without gradients, for the callbacks.

    Args:
        features: `(N, D)` encoder features of the augmented view.
        labels: `(N,)`, -1 where unknown.
        z: `(N, P)` embeddings of the augmented view.
        z0: `(N, P)` embeddings of the plain view, or None.
        targets: Targets by name, each `(N, K)`.
        loss: The loss and its terms.
    """

    features: Tensor
    labels: Tensor
    z: Tensor
    z0: Tensor | None
    targets: dict[str, Tensor]
    loss: LossTerms


class MVMRModule(pl.LightningModule):
    """Trains an encoder and a projector.

    Args:
        config: Configuration of the run.
        loss: The loss to minimize.
        live: Functions by name that compute a target from `Example.source` in every step.
        total_steps: Optimizer steps of the whole run.
        second_view: Whether the pixels of a second augmented view are a target.
    """

    record: StepRecord

    def __init__(
        self,
        config: TaskConfig,
        loss: MVMRLoss,
        live: Mapping[str, Callable[[Tensor], Tensor]],
        total_steps: int,
        *,
        second_view: bool = False,
    ) -> None:
        super().__init__()
        self.config = config
        self.loss = loss
        self.live = live
        self.total_steps = total_steps
        self.second_view = second_view
        self.encoder = make_encoder(config.student)
        self.projector = make_projector(config.student, self.encoder.embedding_dim)
        self.normalize = Normalize(config.views)
        # every process computes the same memory bank, so DDP need not send rank 0's in every step
        self._ddp_params_and_buffers_to_ignore = ["loss.bank", "loss.filled"]
        self.to(memory_format=torch.channels_last)
        self.train()  # the trainer keeps the modes that it finds
        if config.trainer.compile:
            self.encoder.compile()

    def training_step(self, batch: Example, batch_idx: int) -> Tensor:
        """The loss of one batch over all processes. Sets `record` for the callbacks."""
        _seed_layers(self, self.config.run.seed, batch_idx)
        with torch.autocast(self.device.type, enabled=False):  # color and targets are computed in fp32
            augmented = self._mix(colored(batch.augmented, batch.color), batch.mix)
            targets = self._targets(batch)
        features = self.encoder(self.normalize(augmented))
        z = self._gather(self.projector(features))
        z0 = self._gather(self.projector(self.encoder(self.normalize(batch.plain)))) if batch.plain.numel() else None
        targets = {name: self._gather(rows) for name, rows in targets.items()}
        loss: LossTerms = self.loss(z, z0, targets)
        if not torch.isfinite(loss.total):
            not_finite = [name for name, term in loss.terms.items() if not torch.isfinite(term)]
            raise TrainingError(
                f"The loss became NaN or infinite at step {self.global_step}, in {', '.join(not_finite) or 'the sum'}. "
                "The last checkpoint is valid. Start a new run with a lower optim.peak_lr."
            )
        with torch.no_grad():
            self.record = StepRecord(
                self._gather(features.detach()),
                self._gather(batch.label),
                z.detach(),
                None if z0 is None else z0.detach(),
                targets,
                LossTerms(loss.total.detach(), {name: term.detach() for name, term in loss.terms.items()}),
            )
        return loss.total

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode. Frozen batch norm stays in evaluation mode."""
        super().train(mode)
        if self.config.student.freeze_batch_norm:
            freeze_batch_norm(self.encoder)
        return self

    @torch.no_grad()
    def fit_projector(self, examples: Iterable[Example]) -> None:
        """Start the projector, one linear layer, at the ridge regression from features to the teacher's targets."""
        assert isinstance(self.loss, DistillationLoss)
        self.encoder.eval()
        features, targets = [], []
        for batch in examples:
            augmented = self._mix(colored(batch.augmented, batch.color), batch.mix)
            features.append(self.encoder(self.normalize(augmented)))
            targets.append(self.loss.centered(self._targets(batch)[TEACHER]))
        self.train()
        linear = self.projector[0]
        assert isinstance(linear, nn.Linear)
        linear.weight.copy_(ridge_regression(torch.cat(features), torch.cat(targets)))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimizer, and the learning rate as a function of its step."""
        return scheduled_optimizer(self, self.config.optim, self.total_steps)

    @torch.no_grad()
    def _targets(self, batch: Example) -> dict[str, Tensor]:
        found = {name: self._mix(rows, batch.mix) for name, rows in batch.targets.items()}
        if self.live:
            source = batch.source if batch.source.numel() else batch.plain
            if self.config.views.mixup > 0:
                source = self._mix(source.float() / 255, batch.mix)
            found |= {name: compute(source) for name, compute in self.live.items()}
        if self.second_view:
            found[AUGMENTED_PIXELS] = colored(batch.other, batch.other_color).flatten(1)
        return {name: self._narrow(rows) for name, rows in found.items()}

    def _mix(self, rows: Tensor, share: Tensor) -> Tensor:
        """Mix the two rows of each pair, `(N, ...)`. Both use the share of the first row."""
        if self.config.views.mixup == 0:
            return rows
        shares = share[0::2].repeat_interleave(2).view(-1, *[1] * (rows.ndim - 1)).to(rows)
        partner = rows.view(-1, 2, *rows.shape[1:]).flip(1).view_as(rows)
        return shares * rows + (1 - shares) * partner

    def _narrow(self, rows: Tensor) -> Tensor:
        """Project wide rows if there are several processes, which exchange them."""
        return count_sketch(rows, SKETCH_DIM) if rows.shape[1] > SKETCH_DIM and self.trainer.world_size > 1 else rows

    def _gather(self, rows: Tensor) -> Tensor:
        """The rows of every process, in rank order, with gradients: `(n, D)` to `(N, D)`.

        Every process computes the loss of the whole batch. The gradients that flow back are summed over
        processes, and the trainer averages parameters' gradients, so the step equals that of one process.
        """
        if self.trainer.world_size == 1:
            return rows
        gathered = self.all_gather(rows, sync_grads=rows.requires_grad)
        assert isinstance(gathered, Tensor)
        return gathered.flatten(0, 1)


class Classifier(pl.LightningModule):
    """Trains all weights of an encoder and a linear head by cross-entropy. The head starts at zero.

    Args:
        config: Configuration of the run.
        classes: Number of classes.
        total_steps: Optimizer steps of the whole run.
    """

    logged: dict[str, Tensor]

    def __init__(self, config: FinetuneConfig, classes: int, total_steps: int) -> None:
        super().__init__()
        self.config = config
        self.total_steps = total_steps
        self.normalize = Normalize(config.views)
        self.encoder = make_encoder(config.student)
        self.head = nn.Linear(self.encoder.embedding_dim, classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.to(memory_format=torch.channels_last)
        if config.trainer.compile:
            self.encoder.compile()

    def training_step(self, batch: Example, batch_idx: int) -> Tensor:
        """The cross-entropy of one batch."""
        _seed_layers(self, self.config.run.seed, batch_idx)
        with torch.autocast(self.device.type, enabled=False):
            augmented = colored(batch.augmented, batch.color)
        logits = self.head(self.encoder(self.normalize(augmented)))
        loss = F.cross_entropy(logits.float(), batch.label, label_smoothing=self.config.label_smoothing)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"The loss became NaN or infinite at step {self.global_step}, in cross_entropy. "
                "The last checkpoint is valid. Start a new run with a lower optim.peak_lr."
            )
        accuracy = (logits.argmax(dim=1) == batch.label).float().mean()
        self.logged = {"loss/cross_entropy": loss.detach(), "train/accuracy": accuracy}
        return loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimizer, and the learning rate as a function of its step."""
        return scheduled_optimizer(self, self.config.optim, self.total_steps)


class Normalize(nn.Module):
    """Normalizes images by the views' mean and standard deviation.

    Args:
        config: The views.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: ViewConfig) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Normalize images `(N, 3, H, W)`, float in [0, 1] or uint8. Returns float32, channels last."""
        scaled = images.float() / 255 if images.dtype == torch.uint8 else images
        return ((scaled - self.mean) / self.std).contiguous(memory_format=torch.channels_last)


def _seed_layers(module: pl.LightningModule, seed: int, batch_idx: int) -> None:
    """Make dropout and stochastic depth a function of the batch and the process, so that a resumed run repeats them."""
    torch.manual_seed(int(np.random.default_rng((seed, 7, batch_idx, module.global_rank)).integers(2**62)))


def colored(images: Tensor, colors: Tensor) -> Tensor:
    """Augmented views in [0, 1], after the color changes that run on the device."""
    return color_batch(images, colors) if colors.numel() else images
