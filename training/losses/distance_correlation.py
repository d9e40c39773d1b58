"""Distance correlation and covariance of two batches with paired rows.

Székely, Rizzo, Bakirov, *Annals of Statistics* 35(6), 2007 (biased, the paper's) and Székely,
Rizzo, *Annals of Statistics* 42(6), 2014 (unbiased). Computed in fp32 or better, also under
autocast. Gradients are finite at zero distance and for constant batches.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from training.loss_options import Estimator


def distance_correlation(x: Tensor, y: Tensor, estimator: Estimator = "biased") -> Tensor:
    """The distance correlation of `x` and `y`: a scalar with gradients, 0 where either batch is constant.

    Args:
        x: `(N, Dx)` float.
        y: `(N, Dy)` float.
        estimator: `biased` is the square root of the V-statistic, in [0, 1]. It depends on N and D
            even for independent batches. `unbiased` is the U-centered estimate of the square, in [-1, 1].
            It is about 0 for independent batches and needs N >= 4.

    Raises:
        ValueError: The batches have different N, or too few rows for the estimator.

    Example:
        >>> import torch
        >>> from training import distance_correlation
        >>> x = torch.arange(8.0)[:, None]
        >>> round(distance_correlation(x, 3 * x + 1).item(), 4)
        1.0
    """
    return correlate(*centered_distances(x, y, estimator=estimator), estimator=estimator)


def distance_covariance(x: Tensor, y: Tensor, estimator: Estimator = "biased") -> Tensor:
    """The distance covariance of `x` and `y`: a scalar with gradients.

    Args:
        x: `(N, Dx)` float.
        y: `(N, Dy)` float.
        estimator: `biased` is the square root of the V-statistic, at least 0. `unbiased` is the U-statistic
            of the square. It may be negative and needs N >= 4.

    Raises:
        ValueError: The batches have different N, or too few rows for the estimator.

    Example:
        >>> import torch
        >>> from training import distance_covariance
        >>> x = torch.tensor([[0.0], [1.0], [3.0]])
        >>> distance_covariance(x, torch.ones(3, 1)).item()
        0.0
    """
    a, b = centered_distances(x, y, estimator=estimator)
    n, product = len(a), (a * b).sum()
    if estimator == "unbiased":
        return product / (n * (n - 3))
    squared = product / n**2
    above = ~(squared <= torch.finfo(a.dtype).tiny)
    return torch.where(above, torch.where(above, squared, 1.0).sqrt(), 0.0)


def full_precision(x: Tensor) -> Tensor:
    """`x` in fp32, or in its own dtype if that is wider."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def centered_distances(*batches: Tensor, estimator: Estimator) -> list[Tensor]:
    """The centered distance matrix `(N, N)` of each batch `(N, D)`, for `correlate`.

    The matrix of a batch can be used in several correlations.
    """
    rows = {len(batch) for batch in batches}
    if len(rows) != 1:
        raise ValueError(f"The batches have {sorted(rows)} rows. Distance correlation needs equal numbers.")
    least = 4 if estimator == "unbiased" else 2
    if min(rows) < least:
        raise ValueError(f"The {estimator} estimator needs at least {least} rows; these batches have {min(rows)}.")
    return [centered(pairwise_distances(batch), estimator) for batch in batches]


def centered(distances: Tensor, estimator: Estimator) -> Tensor:
    """A distance matrix `(N, N)`, centered for the estimator."""
    return _u_centered(distances) if estimator == "unbiased" else _double_centered(distances)


def correlate(a: Tensor, b: Tensor, *, estimator: Estimator) -> Tensor:
    """The correlation of two centered distance matrices `(N, N)`: a scalar."""
    covariance = (a * b).sum()
    powers = (a * a).sum(), (b * b).sum()
    tiny, eps = torch.finfo(a.dtype).tiny, torch.finfo(a.dtype).eps
    # Double `where`: the infinite gradient of a square root at zero would become NaN even in the branch not taken.
    # Negated comparisons: NaN must stay NaN.
    varied = ~((powers[0] <= tiny) | (powers[1] <= tiny))
    norms = [torch.where(varied, power, 1.0).sqrt() for power in powers]
    squared = torch.where(varied, covariance / norms[0] / norms[1], 0.0)
    if estimator == "unbiased":
        return squared
    above = ~(squared <= eps)
    return torch.where(above, torch.where(above, squared, 1.0).sqrt(), 0.0)


def pairwise_distances(x: Tensor) -> Tensor:
    """Euclidean distances between the rows of `(N, D)`: `(N, N)`, in fp32 or better, with a zero diagonal.

    Rows that are equal to within rounding have distance zero and gradient zero.
    """
    with torch.autocast(x.device.type, enabled=False):
        distances: Tensor = _Distances.apply(full_precision(x))
        return distances


class _Distances(torch.autograd.Function):
    """Distances by the Gram matrix, with the gradient written out.

    With W = G / d, zero where d is zero, and S = W + W^T, the gradient of row i is
    sum_j S_ij (x_i - x_j). This takes one matrix product. Autograd would take two, and several passes
    over `(N, D)`.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        centered = x - x.mean(dim=0, keepdim=True)  # reduces cancellation, and does not change distances
        gram = centered @ centered.T
        norms = gram.diagonal()
        sums = norms[:, None] + norms[None, :]
        squared = sums - 2 * gram
        # below this, a squared distance is rounding error of the three terms above
        equal = squared <= 4 * torch.finfo(x.dtype).eps * sums
        distances = torch.where(equal, 0.0, squared).sqrt()
        distances.fill_diagonal_(0.0)
        ctx.save_for_backward(x, distances)
        return distances

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        x, distances = ctx.saved_tensors
        w = torch.where(distances > 0, gradient / distances, 0.0)
        s = w + w.T
        return torch.addmm(s.sum(dim=1, keepdim=True) * x, s, x, alpha=-1)


def _double_centered(d: Tensor) -> Tensor:
    return d - d.mean(dim=0, keepdim=True) - d.mean(dim=1, keepdim=True) + d.mean()


def _u_centered(d: Tensor) -> Tensor:
    n = len(d)
    rows = d.sum(dim=1, keepdim=True) / (n - 2)
    columns = d.sum(dim=0, keepdim=True) / (n - 2)
    centered = d - rows - columns + d.sum() / ((n - 1) * (n - 2))
    return centered.masked_fill(torch.eye(n, dtype=torch.bool, device=d.device), 0.0)
