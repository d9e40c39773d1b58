"""The MV-MR loss (Kinakh, Drozdova, Voloshynovskiy, Entropy 2024, 26(6), 466).

    mse(z, z0) + hinge(1 - std(z)) + hinge(1 - std(z0)) + (1 - dCor(z, z0)) + sum_k w_k (1 - dCor(z, r_k))

Each term has a weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mvmr_zoo.errors import ConfigError, require
from training.loss_options import Estimator, Sign, check_weights
from training.losses.distance_correlation import centered_distances, correlate, full_precision

VIEWS = "views"
"""The name of `1 - dCor(z, z0)` among the terms. Every other dependence term is named after its representation."""


class LossTerms(NamedTuple):
    """A loss and its terms.

    Args:
        total: The weighted sum, a scalar with gradients.
        terms: The unweighted terms by name, each a scalar. Terms of weight 0 are not computed.
    """

    total: Tensor
    terms: dict[str, Tensor]


class MVMRLoss(nn.Module):
    """The MV-MR loss of two views and any number of fixed representations, computed in fp32 or better.

    Args:
        weights: Weight of `1 - dCor(z, r)` for each representation by name, at least 0. None gives each
            representation the weight 1.
        invariance: Weight of the mean squared error between the two views' embeddings.
        variance: Weight of the hinge that keeps the standard deviation of every embedding dimension at `std_margin` or
            above.
        views: Weight of `1 - dCor(z, z0)`.
        estimator: `biased` (the paper's) or `unbiased`; see `distance_correlation`.
        sign: `paper` maximizes the dependence on the representations. `released` adds `+dCor`, which minimizes the
            dependence, as in the authors' released code.
        std_margin: Standard deviation below which the hinge is positive, above 0.

    Raises:
        ConfigError: A weight is negative or not finite, or the margin is not positive.

    Example:
        >>> import torch
        >>> from training import MVMRLoss
        >>> _ = torch.manual_seed(0)
        >>> images, z, z0 = torch.rand(8, 3, 16, 16), torch.randn(8, 32, requires_grad=True), torch.randn(8, 32)
        >>> loss = MVMRLoss({"pixels": 1.0})
        >>> found = loss(z, z0, {"pixels": images.flatten(1)})
        >>> found.total.backward()
        >>> sorted(found.terms)
        ['invariance', 'pixels', 'variance', 'views']
    """

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        *,
        invariance: float = 1.0,
        variance: float = 1.0,
        views: float = 1.0,
        estimator: Estimator = "biased",
        sign: Sign = "paper",
        std_margin: float = 1.0,
    ) -> None:
        super().__init__()
        terms = {"invariance": invariance, "variance": variance, "views": views, **(weights or {})}
        check_weights(terms, std_margin)
        require(VIEWS not in (weights or {}), "name of a representation", VIEWS, "another name")
        self.weights = None if weights is None else dict(weights)
        self.invariance = invariance
        self.variance = variance
        self.views = views
        self.estimator: Estimator = estimator
        self.sign = sign
        self.std_margin = std_margin

    @property
    def reads_plain_view(self) -> bool:
        """Whether any term reads `z0`. If none does, the plain view need not be encoded."""
        return self.invariance > 0 or self.variance > 0 or self.views > 0

    def forward(self, z: Tensor, z0: Tensor | None, representations: Mapping[str, Tensor]) -> LossTerms:
        """The loss of one batch. Row i of every argument comes from image i.

        Args:
            z: `(N, P)` embeddings of the augmented view.
            z0: `(N, P)` embeddings of the plain view, or None if `reads_plain_view` is false.
            representations: `(N, K)` each, by name. Those without a positive weight are ignored.

        Raises:
            ConfigError: `z0` is None although a term reads it, or a weighted representation is missing.
        """
        if z0 is None and (self.invariance > 0 or self.views > 0):
            raise ConfigError(
                "z0 is None; loss.invariance and loss.views need the embeddings (N, P) of the plain view."
            )
        z, z0 = full_precision(z), None if z0 is None else full_precision(z0)
        terms: dict[str, Tensor] = {}
        weights: dict[str, float] = {}
        if z0 is not None and self.invariance > 0:
            terms["invariance"], weights["invariance"] = F.mse_loss(z, z0), self.invariance
        if self.variance > 0:
            hinges = [std_hinge(each, self.std_margin) for each in (z, z0) if each is not None]
            terms["variance"], weights["variance"] = torch.stack(hinges).sum(), self.variance
        wanted = self._weights_of(representations)
        for name, correlation in self._correlations(z, z0, representations, wanted).items():
            terms[name] = correlation if self.sign == "released" and name != VIEWS else 1 - correlation
            weights[name] = self.views if name == VIEWS else wanted[name]
        total = 0 * z.sum()  # has gradients even if no term applies yet
        for name, term in terms.items():
            total = total + weights[name] * term
        return LossTerms(total, terms)

    def _weights_of(self, representations: Mapping[str, Tensor]) -> dict[str, float]:
        """The positive weight of each representation by name."""
        if self.weights is None:
            return dict.fromkeys(representations, 1.0)
        wanted = {name: weight for name, weight in self.weights.items() if weight > 0}
        if missing := sorted(wanted.keys() - representations.keys()):
            raise ConfigError(
                f"The representation {missing[0]} has a weight, but is missing. The given representations are "
                f"{sorted(representations)}."
            )
        return wanted

    def _correlations(
        self, z: Tensor, z0: Tensor | None, representations: Mapping[str, Tensor], wanted: Mapping[str, float]
    ) -> dict[str, Tensor]:
        """The distance correlation of z with z0 and with each representation. Each distance matrix is computed once."""
        others = {name: representations[name] for name in wanted}
        if z0 is not None and self.views > 0:
            others = {VIEWS: z0, **others}
        if not others:
            return {}
        of_z, *rest = centered_distances(z, *others.values(), estimator=self.estimator)
        return {
            name: correlate(of_z, matrix, estimator=self.estimator) for name, matrix in zip(others, rest, strict=True)
        }


def std_hinge(z: Tensor, margin: float) -> Tensor:
    """Mean over dimensions of max(0, margin - std) of `(N, D)`: a scalar.

    The variance has a floor of 1e-4, as in VICReg (Bardes, Ponce, LeCun, 2022), so that its gradient stays finite.
    """
    return F.relu(margin - (z.var(dim=0) + 1e-4).sqrt()).mean()
