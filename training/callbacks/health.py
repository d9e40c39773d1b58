"""Logs loss terms, distance correlations and the spread of the embeddings, and stops a collapsed run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor

from mvmr_zoo.errors import TrainingError
from training.callbacks.log import Every, write
from training.config import MonitorConfig
from training.losses import VIEWS
from training.losses.distance_correlation import centered_distances, correlate
from training.module import MVMRModule

PATIENCE = 3
"""Consecutive measurements below the least rank before a run is stopped. One bad batch is not a collapse."""


class Health(pl.Callback):
    """Logs `loss/TERM`, `dcor/NAME`, `spread/std` and `spread/rank` every n optimizer steps.

    Args:
        config: Interval of the measurements, and the least effective rank.
    """

    def __init__(self, config: MonitorConfig) -> None:
        self._config = config
        self._low = 0
        self._every = Every(config.every_steps)

    @torch.no_grad()
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        """Measure if due. Raises TrainingError if the embeddings have collapsed."""
        step = trainer.global_step
        assert isinstance(pl_module, MVMRModule)
        if not self._every.due(step, pl_module.total_steps):
            return
        record = pl_module.record
        terms = {f"loss/{name}": term.item() for name, term in record.loss.terms.items()}
        weights = pl_module.loss.weights
        others = {name: rows for name, rows in record.targets.items() if weights is None or weights.get(name, 0) > 0}
        found = spread(record.z)
        if record.z0 is not None:
            others = {VIEWS: record.z0, **others}
        values = terms | {"loss/total": record.loss.total.item()} | dependence(record.z, others)
        write(trainer, values | {"spread/std": found.std, "spread/rank": found.rank})
        self._low = self._low + 1 if found.rank < self._config.collapse_rank else 0
        if self._low == PATIENCE and record.z.shape[1] > 1:
            raise TrainingError(
                f"The embeddings collapsed by step {step}: effective rank {found.rank:.2f}, standard deviation "
                f"{found.std:.2g}. Loss terms: {', '.join(f'{k[5:]} {v:.3g}' for k, v in terms.items())}. "
                f"{_remedy(pl_module)}, or set monitor.collapse_rank to 0 to continue anyway."
            )


def _remedy(module: MVMRModule) -> str:
    if module.loss.variance == 0:
        return "The variance term, which prevents this, has weight 0. Raise loss.variance"
    return "The variance term did not prevent this. Raise loss.variance, lower optim.peak_lr"


class Spread(NamedTuple):
    """The spread of one batch of embeddings.

    Args:
        std: Mean standard deviation of a dimension.
        rank: The effective rank: exp of the entropy of the normalized singular values (Roy, Vetterli, *The effective
            rank*, 2007). It is from 1 to min(N - 1, D), or 0 for a constant batch.
    """

    std: float
    rank: float


def spread(z: Tensor) -> Spread:
    """The spread of embeddings `(N, D)`, N at least 2."""
    centered = z.float() - z.float().mean(dim=0)
    gram = centered @ centered.T if len(z) <= z.shape[1] else centered.T @ centered
    singular = torch.linalg.eigvalsh(gram.cpu().double())  # Apple GPUs have no float64
    singular = singular.clamp_min(0).sqrt()
    std = centered.std(dim=0).mean().item()
    if singular.max() <= 1e-6 * z.float().norm().cpu():
        return Spread(std, 0.0)
    share = singular / singular.sum()
    entropy = torch.special.entr(share).sum()
    return Spread(std, entropy.exp().item())


def dependence(z: Tensor, others: Mapping[str, Tensor]) -> dict[str, float]:
    """The distance correlation of embeddings `(N, P)` with each of `others` `(N, K)`, by both estimators.

    `dcor/NAME` is the biased estimate. `dcor/NAME/independent` is the same with the rows of one side shifted by one.
    The rows then no longer match, so it estimates the value for independent batches. `dcor_unbiased/NAME` is about 0
    for independent batches. It is omitted for fewer than 4 rows.
    """
    found: dict[str, float] = {}
    of_z, *rest = centered_distances(z, *others.values(), estimator="biased")
    for name, matrix in zip(others, rest, strict=True):
        found[f"dcor/{name}"] = correlate(of_z, matrix, estimator="biased").item()
        shifted = matrix.roll((1, 1), dims=(0, 1))
        found[f"dcor/{name}/independent"] = correlate(of_z, shifted, estimator="biased").item()
    if len(z) >= 4:
        of_z, *rest = centered_distances(z, *others.values(), estimator="unbiased")
        for name, matrix in zip(others, rest, strict=True):
            found[f"dcor_unbiased/{name}"] = correlate(of_z, matrix, estimator="unbiased").item()
    return found
