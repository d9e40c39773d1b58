"""The MV-MR loss (Kinakh, Drozdova, Voloshynovskiy, Entropy 2024, 26(6), 466)

    mse(z, z0) + hinge(1 - std(z)) + hinge(1 - std(z0)) + (1 - dCor(z, z0)) + sum_k w_k (1 - dCor(z, r_k))

each term with a weight. In distillation the teacher's embedding is the only r; beside the paper's
terms, off by default, stands a cosine regression onto it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from training.distance_correlation import Estimator, centred_distances, correlate
from training.require import require

Sign = Literal["paper", "released"]

VIEWS = "views"
"""The name of dCor(z, z0) among the correlations; every other one bears its representation's name."""


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """What the loss is made of, beside the weights of the representations.

    Args:
        invariance: weight of the mean squared error between the two views' embeddings.
        variance: weight of the hinge that keeps every embedding dimension's deviation at `std_margin`.
        views: weight of `1 - dCor` between the two views' embeddings.
        estimator: of the distance correlation, `biased` or `unbiased`.
        std_margin: the hinge's target deviation, positive.
        memory: embeddings of past steps, 0 for none, that join the batch in every dCor, without gradient: a
            statistic of more rows for the price of the distances alone.
    """

    invariance: float = 1.0
    variance: float = 1.0
    views: float = 1.0
    estimator: Estimator = "biased"
    std_margin: float = 1.0
    memory: int = 0

    def __post_init__(self) -> None:
        """Raise ConfigError for a weight below 0, a margin or a memory that cannot be."""
        for name in ("invariance", "variance", "views"):
            require(0 <= getattr(self, name) < math.inf, f"loss.{name}", getattr(self, name), "a weight of at least 0")
        require(0 < self.std_margin < math.inf, "loss.std_margin", self.std_margin, "a positive number")
        require(self.memory >= 0, "loss.memory", self.memory, "at least 0")

    @property
    def reads_plain_view(self) -> bool:
        """Whether any term reads z0: without one, the plain view need not be encoded at all."""
        return self.invariance > 0 or self.variance > 0 or self.views > 0


@dataclass(frozen=True, kw_only=True)
class DistillLossConfig(LossConfig):
    """The loss of distillation: see `LossConfig`, and

    Args:
        teacher: weight of `1 - dCor` between embeddings and the teacher's.
        regression: weight of `1 - cos` between embeddings and the teacher's centred embeddings; the
            projector must then end in the teacher's dimension. Not in the paper.
    """

    teacher: float = 1.0
    regression: float = 0.0

    def __post_init__(self) -> None:
        """Raise ConfigError for a weight below 0, or no weight at all."""
        super().__post_init__()
        for name in ("teacher", "regression"):
            require(0 <= getattr(self, name) < math.inf, f"loss.{name}", getattr(self, name), "a weight of at least 0")
        weights = (self.invariance, self.variance, self.views, self.teacher, self.regression)
        require(max(weights) > 0, "loss", weights, "one weight above 0 at least")


class LossTerms(NamedTuple):
    """Scalars: the unweighted terms by name, those of weight 0 left out, and their weighted sum."""

    terms: dict[str, Tensor]
    total: Tensor


class Embedded(NamedTuple):
    """What the loss compares, row i of each from photo i.

    Shapes: `z` `(N, P)` of the augmented view; `z0` `(N, P)` of the plain view, or None where
    `LossConfig.reads_plain_view` is false; each of `references` `(N, K)`.
    """

    z: Tensor
    z0: Tensor | None
    references: Mapping[str, Tensor]


def mvmr_loss(
    batch: Embedded,
    weights: Mapping[str, float],
    config: LossConfig,
    *,
    sign: Sign = "paper",
    past: Embedded | None = None,
) -> LossTerms:
    """The paper's loss of one batch, in fp32 at least.

    Args:
        batch: N rows.
        weights: of each of `batch.references`, by name, at least 0.
        config: the other weights, and the estimator.
        sign: `paper` maximises the dependence on the representations; `released` adds `+dCor`, as the
            authors' released code does, and so minimises it.
        past: rows of earlier steps that join every dCor.
    """
    z, z0 = _full(batch.z), None if batch.z0 is None else _full(batch.z0)
    terms: dict[str, Tensor] = {}
    total = z.new_zeros(())
    if z0 is not None and config.invariance > 0:
        terms["invariance"] = F.mse_loss(z, z0)
        total = total + config.invariance * terms["invariance"]
    if config.variance > 0:
        hinges = [std_hinge(each, config.std_margin) for each in (z, z0) if each is not None]
        terms["variance"] = torch.stack(hinges).sum()
        total = total + config.variance * terms["variance"]
    used = {name: weight for name, weight in weights.items() if weight > 0}
    for name, correlation in _correlations(Embedded(z, z0, batch.references), used, config, past).items():
        weight = config.views if name == VIEWS else used[name]
        terms[name] = correlation if sign == "released" and name != VIEWS else 1 - correlation
        total = total + weight * terms[name]
    return LossTerms(terms, total)


def _correlations(
    batch: Embedded, used: Mapping[str, float], config: LossConfig, past: Embedded | None
) -> dict[str, Tensor]:
    """DCor of z with z0 and with every used reference, each distance matrix computed once."""
    others = {name: batch.references[name] for name in used}
    if batch.z0 is not None and config.views > 0:
        others = {VIEWS: batch.z0, **others}
    if not others:
        return {}
    rows = [batch.z, *others.values()]
    if past is not None:
        earlier = {VIEWS: past.z0, **past.references}
        rows = [
            torch.cat([now, before.to(now)]) if before is not None else now
            for now, before in zip(rows, [past.z, *(earlier[name] for name in others)], strict=True)
        ]
    of_z, *rest = centred_distances(*rows, estimator=config.estimator)
    return {
        name: correlate(of_z, matrix, estimator=config.estimator) for name, matrix in zip(others, rest, strict=True)
    }


def cosine_regression(z: Tensor, target: Tensor) -> Tensor:
    """`1 - cos` between rows, its mean: a scalar in [0, 2]. `z` and `target` `(N, T)`."""
    return 1 - F.cosine_similarity(_full(z), _full(target), dim=1).mean()


def std_hinge(z: Tensor, margin: float) -> Tensor:
    """Mean over dimensions of max(0, margin - std) of `(N, D)`: a scalar.

    The variance gets a floor of 1e-4, as in VICReg (Bardes, Ponce, LeCun, 2022), so its gradient stays finite.
    """
    return F.relu(margin - (z.var(dim=0) + 1e-4).sqrt()).mean()


def _full(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
