"""Distance correlation of two batches, row i of one belonging to row i of the other.

Székely, Rizzo, Bakirov, *Annals of Statistics* 35(6), 2007 (biased, the paper's) and Székely,
Rizzo, *Annals of Statistics* 42(6), 2014 (unbiased). Computed in fp32 at least, whatever the
precision around it; gradients are finite at zero distance and for constant batches.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

Estimator = Literal["biased", "unbiased"]


def distance_correlation(x: Tensor, y: Tensor, estimator: Estimator = "biased") -> Tensor:
    """The distance correlation of `x` and `y`: a scalar, 0 where either batch is constant.

    Args:
        x: `(N, Dx)` float.
        y: `(N, Dy)` float.
        estimator: `biased` is the square root of the V-statistic, in [0, 1]: it depends on N and D
            even for independent batches. `unbiased` is the U-centred square as it is, in [-1, 1],
            about 0 for independent batches; it needs N >= 4.

    Raises:
        ValueError: different N, or too few rows for the estimator.
    """
    return correlate(*centred_distances(x, y, estimator=estimator), estimator=estimator)


def centred_distances(*batches: Tensor, estimator: Estimator) -> list[Tensor]:
    """The centred distance matrix `(N, N)` of each batch `(N, D)`, to be given to `correlate`.

    A batch that enters several correlations needs its matrix only once.
    """
    rows = {len(batch) for batch in batches}
    if len(rows) != 1:
        raise ValueError(f"distance correlation got batches of {sorted(rows)} rows; expected the same number")
    least = 4 if estimator == "unbiased" else 2
    if min(rows) < least:
        raise ValueError(f"the {estimator} estimator got {min(rows)} rows; expected at least {least}")
    return [centred(pairwise_distances(batch), estimator) for batch in batches]


def centred(distances: Tensor, estimator: Estimator) -> Tensor:
    """A distance matrix `(N, N)`, centred as the estimator wants it."""
    return _u_centred(distances) if estimator == "unbiased" else _double_centred(distances)


def correlate(a: Tensor, b: Tensor, *, estimator: Estimator) -> Tensor:
    """The correlation of two centred distance matrices `(N, N)`: a scalar."""
    covariance = (a * b).sum()
    powers = (a * a).sum(), (b * b).sum()
    tiny, eps = torch.finfo(a.dtype).tiny, torch.finfo(a.dtype).eps
    # double `where`: the gradient of a square root at zero is infinite even where it is not taken;
    # negated comparisons: what is no number must come out as no number
    varied = ~((powers[0] <= tiny) | (powers[1] <= tiny))
    norms = [torch.where(varied, power, 1.0).sqrt() for power in powers]
    squared = torch.where(varied, covariance / norms[0] / norms[1], 0.0)
    if estimator == "unbiased":
        return squared
    above = ~(squared <= eps)
    return torch.where(above, torch.where(above, squared, 1.0).sqrt(), 0.0)


def pairwise_distances(x: Tensor) -> Tensor:
    """Euclidean distances between the rows of `(N, D)`: `(N, N)`, fp32 at least, zero diagonal.

    Rows that are equal, to within rounding, are at distance zero and pull no gradient.
    """
    with torch.autocast(x.device.type, enabled=False):
        distances: Tensor = _Distances.apply(x.to(torch.promote_types(x.dtype, torch.float32)))
        return distances


class _Distances(torch.autograd.Function):
    """Distances by the Gram matrix, with the gradient written out.

    With W = G / d, zero where d is zero, and S = W + W^T, the gradient of row i is
    sum_j S_ij (x_i - x_j), so one matrix product does what autograd needs two and several passes over
    `(N, D)` for.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=0, keepdim=True)  # distances are the same, cancellation is less
        gram = centred @ centred.T
        norms = gram.diagonal()
        sums = norms[:, None] + norms[None, :]
        squared = sums - 2 * gram
        # below this a squared distance is rounding error of the three terms above
        together = squared <= 4 * torch.finfo(x.dtype).eps * sums
        distances = torch.where(together, 0.0, squared).sqrt()
        distances.fill_diagonal_(0.0)
        ctx.save_for_backward(x, distances)
        return distances

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        x, distances = ctx.saved_tensors
        pull = torch.where(distances > 0, gradient / distances, 0.0)
        pull = pull + pull.T
        return torch.addmm(pull.sum(dim=1, keepdim=True) * x, pull, x, alpha=-1)


def _double_centred(d: Tensor) -> Tensor:
    return d - d.mean(dim=0, keepdim=True) - d.mean(dim=1, keepdim=True) + d.mean()


def _u_centred(d: Tensor) -> Tensor:
    n = len(d)
    rows = d.sum(dim=1, keepdim=True) / (n - 2)
    columns = d.sum(dim=0, keepdim=True) / (n - 2)
    centred = d - rows - columns + d.sum() / ((n - 1) * (n - 2))
    return centred.masked_fill(torch.eye(n, dtype=torch.bool, device=d.device), 0.0)
