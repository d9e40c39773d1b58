"""The MV-MR loss for distillation (Kinakh, Drozdova, Voloshynovskiy, Entropy 2024, 26(6), 466)

    mse(z, z0) + hinge(1 - std(z)) + hinge(1 - std(z0)) + (1 - dCor(z, z0)) + (1 - dCor(z, r))

each term with a weight, and beside them, off by default, a cosine regression onto the teacher.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mvmr_zoo.errors import ConfigError
from training.distance_correlation import Estimator, centred_distances, correlate


def require(holds: bool, option: str, got: object, expected: str) -> None:
    """Raise ConfigError, naming the option, unless a condition on its value holds."""
    if not holds:
        raise ConfigError(f"{option} is {got}; expected {expected}.")


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """What the loss is made of.

    Args:
        invariance: weight of the mean squared error between the two views' embeddings.
        variance: weight of the hinge that keeps every embedding dimension's deviation at `std_margin`.
        views: weight of `1 - dCor` between the two views' embeddings.
        teacher: weight of `1 - dCor` between embeddings and the teacher's.
        regression: weight of `1 - cos` between embeddings and the teacher's centred embeddings; the
            projector must then end in the teacher's dimension.
        estimator: of the distance correlation, `biased` or `unbiased`.
        std_margin: the hinge's target deviation.
    """

    invariance: float = 1.0
    variance: float = 1.0
    views: float = 1.0
    teacher: float = 1.0
    regression: float = 0.0
    estimator: Estimator = "biased"
    std_margin: float = 1.0

    def __post_init__(self) -> None:
        """Raise ConfigError for a negative weight, or no weight at all."""
        weights = (self.invariance, self.variance, self.views, self.teacher, self.regression)
        require(min(weights) >= 0, "loss", weights, "weights of at least 0")
        require(max(weights) > 0, "loss", weights, "one weight above 0 at least")

    @property
    def needs_plain_view(self) -> bool:
        """Whether any term reads z0: without one, the plain view need not be encoded at all."""
        return self.invariance > 0 or self.variance > 0 or self.views > 0


class LossTerms(NamedTuple):
    """The unweighted terms, scalars, zero where the weight is zero, and their weighted sum."""

    invariance: Tensor
    variance: Tensor
    views: Tensor
    teacher: Tensor
    regression: Tensor
    total: Tensor


def distillation_loss(z: Tensor, z0: Tensor | None, teacher: Tensor, config: LossConfig) -> LossTerms:
    """The loss of one batch.

    Args:
        z: the projector's output for the augmented view, `(N, P)`.
        z0: the same for the plain view, `(N, P)`; None where `config.needs_plain_view` is false.
        teacher: the teacher's embeddings of the plain view, centred, `(N, T)`.
        config: weights and estimator. `regression` needs P = T.
    """
    zero = z.new_zeros((), dtype=torch.float32)
    z, teacher = z.float(), teacher.float()
    invariance = variance = views = to_teacher = regression = zero
    if config.variance > 0:
        variance = _std_hinge(z, config.std_margin)
    if z0 is not None:
        z0 = z0.float()
        invariance = F.mse_loss(z, z0) if config.invariance > 0 else zero
        if config.variance > 0:
            variance = variance + _std_hinge(z0, config.std_margin)
    if config.views > 0 or config.teacher > 0:
        batches = [z, *([z0] if z0 is not None else []), teacher]
        of_z, *rest = centred_distances(*batches, estimator=config.estimator)
        if z0 is not None and config.views > 0:
            views = 1 - correlate(of_z, rest[0], estimator=config.estimator)
        if config.teacher > 0:
            to_teacher = 1 - correlate(of_z, rest[-1], estimator=config.estimator)
    if config.regression > 0:
        regression = 1 - F.cosine_similarity(z, teacher, dim=1).mean()
    total = (
        config.invariance * invariance
        + config.variance * variance
        + config.views * views
        + config.teacher * to_teacher
        + config.regression * regression
    )
    return LossTerms(invariance, variance, views, to_teacher, regression, total)


def _std_hinge(z: Tensor, margin: float) -> Tensor:
    """Mean over dimensions of max(0, margin - std), with a small variance floor so its gradient stays finite."""
    return F.relu(margin - (z.var(dim=0) + 1e-4).sqrt()).mean()
