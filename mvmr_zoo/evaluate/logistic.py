"""Multinomial logistic regression with an L2 penalty, for a series of strengths.

The loss for rows x with classes y is that of scikit-learn's `LogisticRegression(C=strength)`:

    strength * sum_i -log softmax(W x_i + b)[y_i] + ||W||^2 / 2

With two classes the penalty is ||W||^2, which equals that of scikit-learn's single vector w = W_1 - W_0.
L-BFGS minimizes it for increasing strengths, each starting from the previous solution. Features are rotated to their
principal axes, and each axis is scaled by its curvature, so that few steps are needed at any strength.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mvmr_zoo.errors import MissingDependencyError

try:
    import torch
    from torch import Tensor
except ImportError as error:
    raise MissingDependencyError("PyTorch", "cpu", "fit a linear probe") from error

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_STEPS = 1000

SWEEP_TOLERANCE, FINAL_TOLERANCE = 1e-4, 1e-6
"""Limits of the largest entry of the scaled gradient of the mean loss: in the search, and for the final fit."""

_LANES = 16
"""The number of classes is padded to a multiple of this. Thin matrices then multiply twice as fast."""


class Solution(NamedTuple):
    """The minimum at one strength. Shapes: `weight` `(K, D)`, `bias` `(K,)`, float64."""

    strength: float
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Logits `(N, K)` of features `(N, D)`."""
        return features @ self.weight.T + self.bias


class _Axes(NamedTuple):
    """Features on their principal axes.

    Shapes: `rows` `(N, R)` with mean 0, `columns` `(R, N)` its transpose, `spread` `(R,)` variances, `axes` `(D, R)`.
    """

    rows: Tensor
    columns: Tensor
    spread: Tensor
    axes: Tensor
    mean: Tensor


def logistic_path(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    classes: int,
    strengths: Sequence[float],
    *,
    device: str = "cpu",
    tolerance: float = FINAL_TOLERANCE,
) -> Iterator[Solution]:
    """Yield the solutions for increasing strengths, each warm-started from the previous one.

    Args:
        features: `(N, D)` float32.
        labels: `(N,)` class numbers from 0 to `classes` - 1.
        classes: K, at least 2.
        strengths: Positive, increasing values of the parameter C of scikit-learn.
        device: `cpu` or `cuda`.
        tolerance: Limit of the largest entry of the scaled gradient.
    """
    axes = _principal(torch.from_numpy(features).to(device))
    targets = torch.from_numpy(labels).to(device)
    weight = axes.rows.new_zeros(axes.rows.shape[1], classes)
    bias = torch.log(torch.bincount(targets, minlength=classes).clamp(min=1) / len(targets)).to(weight)
    for strength in strengths:
        penalty = _penalty(strength, classes, len(targets))
        weight, bias = _minimize(axes, targets, weight, bias, penalty, tolerance)
        own = axes.axes @ weight.double()
        yield Solution(strength, own.T.cpu().numpy(), (bias.double() - axes.mean @ own).cpu().numpy())


def largest_gradient(features: NDArray[np.float32], labels: NDArray[np.int64], found: Solution) -> float:
    """The largest absolute entry of the gradient of the mean loss at a solution, in float64.

    Args:
        features: `(N, D)` training features.
        labels: `(N,)` class numbers.
        found: Solution to check.
    """
    logits = found.logits(features)
    residual = np.exp(logits - logits.max(axis=1, keepdims=True))
    residual /= residual.sum(axis=1, keepdims=True)
    residual[np.arange(len(labels)), labels] -= 1
    penalty = _penalty(found.strength, len(found.bias), len(labels))
    gradient = residual.T @ features.astype(np.float64) / len(labels) + penalty * found.weight
    return float(max(np.abs(gradient).max(), np.abs(residual.mean(axis=0)).max()))


def _penalty(strength: float, classes: int, count: int) -> float:
    """The factor of ||W||^2 / 2 that is added to the mean loss."""
    return (2 if classes == 2 else 1) / (strength * count)


def _principal(features: Tensor) -> _Axes:
    wide = features.double()
    mean = wide.mean(dim=0)
    spread, axes = torch.linalg.eigh((wide - mean).T @ (wide - mean) / len(wide))
    kept = spread > spread[-1].clamp(min=0) * 1e-12  # drops constant and linearly dependent columns
    rows = (features - mean.float()) @ axes[:, kept].float()
    return _Axes(rows, rows.T.contiguous(), spread[kept].float(), axes[:, kept], mean)


def _minimize(
    axes: _Axes, targets: Tensor, weight: Tensor, bias: Tensor, penalty: float, tolerance: float
) -> tuple[Tensor, Tensor]:
    """Minimize for one strength in float32. The curvature of an axis is about its variance / K plus the penalty."""
    (count, width), classes = axes.rows.shape, weight.shape[1]
    scale = ((axes.spread / classes + penalty).rsqrt()).unsqueeze(1)
    lift = classes**0.5
    free = torch.cat([weight / scale, bias.unsqueeze(0) / lift])
    free.grad = torch.empty_like(free)
    lanes = -classes % _LANES + classes
    padded, residual = axes.rows.new_zeros(width, lanes), axes.rows.new_zeros(count, lanes)
    everyone = torch.arange(count, device=targets.device)
    solver = torch.optim.LBFGS(
        [free], max_iter=_MAX_STEPS, tolerance_grad=tolerance, tolerance_change=1e-9, history_size=20,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        """Return the loss and store its gradient in `free.grad`. Classes are the first axis of the softmax."""
        scaled = free[:-1] * scale
        padded[:, :classes] = scaled
        logits = (axes.rows @ padded)[:, :classes].T + (free[-1] * lift).unsqueeze(1)
        log_share = torch.log_softmax(logits, dim=0)
        loss = -log_share[targets, everyone].mean() + penalty / 2 * scaled.square().sum()
        share = log_share.exp_()
        share[targets, everyone] -= 1
        residual[:, :classes] = share.T / count
        assert free.grad is not None
        free.grad[:-1] = ((axes.columns @ residual)[:, :classes] + penalty * scaled) * scale
        free.grad[-1] = residual[:, :classes].sum(dim=0) * lift
        return loss

    solver.step(closure)  # type: ignore[no-untyped-call]  # torch has no types here
    return free[:-1] * scale, free[-1] * lift
