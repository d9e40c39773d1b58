"""Multinomial logistic regression with an L2 penalty, for many strengths at once.

Minimises, as scikit-learn's `LogisticRegression(C=strength)` does, for rows x with classes y

    strength * sum_i -log softmax(W x_i + b)[y_i] + ||W||^2 / 2

(with two classes ||W||^2, which is the penalty of its one vector w = W_1 - W_0),
by L-BFGS, the strengths in rising order, each from the solution before. Features are rotated to their principal
axes, and each axis is scaled by its share of the curvature, so that few steps are needed at any strength.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_STEPS = 1000
_TOLERANCE = 1e-5
"""Of the largest entry of the scaled gradient of the mean loss."""


class Solution(NamedTuple):
    """The minimum at one strength.

    Shapes: `weight` `(K, D)`, `bias` `(K,)`, float64. `gradient` is the largest entry of the gradient of the mean
    loss in the features given, in float64.
    """

    strength: float
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    gradient: float

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """`(N, K)` of features `(N, D)`."""
        return features @ self.weight.T + self.bias


class _Axes(NamedTuple):
    """Features on their principal axes: `rows` `(N, R)`, mean 0; `spread` `(R,)` their variance; `axes` `(D, R)`."""

    rows: Tensor
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
) -> Iterator[Solution]:
    """The solutions for strengths in rising order, warm-started one from the other.

    Args:
        features: `(N, D)` float32.
        labels: `(N,)` class numbers from 0 to `classes` - 1.
        classes: K, at least 2.
        strengths: scikit-learn's C, positive, rising.
        device: `cpu` or `cuda`.
    """
    axes = _principal(torch.from_numpy(features).to(device))
    targets = torch.from_numpy(labels).to(device)
    weight = axes.rows.new_zeros(axes.rows.shape[1], classes)
    bias = torch.log(torch.bincount(targets, minlength=classes).clamp(min=1) / len(targets)).to(weight)
    for strength in strengths:
        penalty = (2 if classes == 2 else 1) / (strength * len(targets))
        weight, bias = _minimise(axes, targets, weight, bias, penalty)
        yield _checked(axes, targets, weight, bias, strength, penalty)


def _principal(features: Tensor) -> _Axes:
    wide = features.double()
    mean = wide.mean(dim=0)
    spread, axes = torch.linalg.eigh((wide - mean).T @ (wide - mean) / len(wide))
    kept = spread > spread[-1].clamp(min=0) * 1e-12  # constant columns, and what follows from others, carry nothing
    rows = ((wide - mean) @ axes[:, kept]).float()
    return _Axes(rows, spread[kept].float(), axes[:, kept], mean)


def _minimise(axes: _Axes, targets: Tensor, weight: Tensor, bias: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """One strength, in float32. Curvature of an axis: its variance times p (1 - p), about 1 / K, and the penalty."""
    classes = weight.shape[1]
    scale = ((axes.spread / classes + penalty).rsqrt()).unsqueeze(1)
    free = torch.cat([weight / scale, bias.unsqueeze(0) / classes**0.5]).requires_grad_()
    solver = torch.optim.LBFGS(
        [free], max_iter=_MAX_STEPS, tolerance_grad=_TOLERANCE, tolerance_change=1e-9, history_size=20,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        solver.zero_grad()
        scaled = free[:-1] * scale
        logits = axes.rows @ scaled + free[-1] * classes**0.5
        loss = F.cross_entropy(logits, targets) + penalty / 2 * scaled.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    solver.step(closure)  # type: ignore[no-untyped-call]
    found = free.detach()
    return found[:-1] * scale, found[-1] * classes**0.5


def _checked(axes: _Axes, targets: Tensor, weight: Tensor, bias: Tensor, strength: float, penalty: float) -> Solution:
    """The solution in the features' own coordinates, with its gradient in float64."""
    rows, wide = axes.rows.double(), weight.double()
    residual = torch.softmax(rows @ wide + bias.double(), dim=1)
    residual[torch.arange(len(targets), device=targets.device), targets] -= 1
    gradient = rows.T @ residual / len(targets) + penalty * wide
    own = axes.axes @ wide
    return Solution(
        strength,
        own.T.cpu().numpy(),
        (bias.double() - axes.mean @ own).cpu().numpy(),
        float(gradient.abs().max()) if gradient.numel() else 0.0,
    )
