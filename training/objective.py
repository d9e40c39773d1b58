"""What a run minimises: the paper's loss, and in distillation the cosine regression beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from training.loss import Embedded, LossConfig, LossTerms, Sign, cosine_regression, mvmr_loss


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The whole loss of a run.

    Args:
        loss: weights of the terms between views, and the estimator.
        weights: of `1 - dCor` for each reference, by name.
        sign: see `mvmr_loss`.
        regression: weight of the cosine regression onto the reference `target`; 0 for none.
        target: name of that reference.
        target_mean: `(T,)`, taken from the target before the regression.
    """

    loss: LossConfig
    weights: Mapping[str, float] = field(default_factory=dict)
    sign: Sign = "paper"
    regression: float = 0.0
    target: str = ""
    target_mean: Tensor | None = None

    def __call__(self, batch: Embedded, past: Embedded | None = None) -> LossTerms:
        """The loss of one batch; `past` rows join every dCor."""
        found = mvmr_loss(batch, self.weights, self.loss, sign=self.sign, past=past)
        if self.regression == 0:
            return found
        target = batch.references[self.target]
        if self.target_mean is not None:
            target = target - self.target_mean.to(target.device)
        term = cosine_regression(batch.z, target)
        return LossTerms({**found.terms, "regression": term}, found.total + self.regression * term)
