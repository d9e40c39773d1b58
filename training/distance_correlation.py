"""Distance correlation of two batches, row i of one belonging to row i of the other.

Székely, Rizzo, Bakirov, *Annals of Statistics* 35(6), 2007 (biased, the paper's) and Székely,
Rizzo, *Annals of Statistics* 42(6), 2014 (unbiased). Computed in fp32 at least, whatever the
precision around it; gradients are finite at zero distance and for constant batches.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

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
    centre = _u_centred if estimator == "unbiased" else _double_centred
    return [centre(pairwise_distances(batch)) for batch in batches]


def correlate(a: Tensor, b: Tensor, *, estimator: Estimator) -> Tensor:
    """The correlation of two centred distance matrices `(N, N)`: a scalar."""
    covariance = (a * b).sum()
    power = (a * a).sum() * (b * b).sum()
    tiny = torch.finfo(a.dtype).tiny
    # double `where`: the gradient of a square root at zero is infinite even where it is not taken
    positive = power > tiny
    squared = torch.where(positive, covariance / torch.where(positive, power, 1.0).sqrt(), 0.0)
    if estimator == "unbiased":
        return squared
    above = squared > torch.finfo(a.dtype).eps
    return torch.where(above, torch.where(above, squared, 1.0).sqrt(), 0.0)


def pairwise_distances(x: Tensor) -> Tensor:
    """Euclidean distances between the rows of `(N, D)`: `(N, N)`, fp32 at least, zero diagonal."""
    with torch.autocast(x.device.type, enabled=False):
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        x = x - x.mean(dim=0, keepdim=True)  # distances are the same, cancellation is less
        norms = (x * x).sum(dim=1)
        squared = norms[:, None] + norms[None, :] - 2 * (x @ x.T)
        # below this a squared distance is rounding error of the three terms above
        floor = 4 * torch.finfo(x.dtype).eps * (norms[:, None] + norms[None, :])
        apart = (squared > floor) & ~torch.eye(len(x), dtype=torch.bool, device=x.device)
        return torch.where(apart, torch.where(apart, squared, 1.0).sqrt(), 0.0)


def _double_centred(d: Tensor) -> Tensor:
    return d - d.mean(dim=0, keepdim=True) - d.mean(dim=1, keepdim=True) + d.mean()


def _u_centred(d: Tensor) -> Tensor:
    n = len(d)
    rows = d.sum(dim=1, keepdim=True) / (n - 2)
    columns = d.sum(dim=0, keepdim=True) / (n - 2)
    centred = d - rows - columns + d.sum() / ((n - 1) * (n - 2))
    return centred.masked_fill(torch.eye(n, dtype=torch.bool, device=d.device), 0.0)
