"""Random projections that keep distances, and what they can do to a distance correlation."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.distance_correlation import Estimator, centred, pairwise_distances

_COLUMNS = 4096
"""Inputs whose part of the matrix is drawn at a time: 140,000 of them need not be held at once."""


@dataclass(frozen=True)
class Projection:
    """`x G / sqrt(outputs)` with G standard normal, drawn from a seed.

    A squared distance keeps its mean, and a distance varies by about `1 / sqrt(2 outputs)` of itself
    (Johnson, Lindenstrauss, 1984).

    Args:
        inputs: K before.
        outputs: K after.
        seed: of G.
    """

    inputs: int
    outputs: int
    seed: int

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """`(n, outputs)` float32 of `(n, inputs)`."""
        total = np.zeros((len(rows), self.outputs), np.float32)
        for start in range(0, self.inputs, _COLUMNS):
            total += rows[:, start : start + _COLUMNS] @ _part(self, start)
        return total / np.float32(np.sqrt(self.outputs))


@functools.lru_cache(maxsize=64)
def _part(projection: Projection, start: int) -> NDArray[np.float32]:
    rows = min(_COLUMNS, projection.inputs - start)
    random = np.random.default_rng((projection.seed, start))
    return random.standard_normal((rows, projection.outputs), np.float32)


def dcor_change_bound(before: Tensor, after: Tensor, estimator: Estimator = "biased") -> float:
    """How far the square of dCor with any other batch can move when `before` is replaced by `after`.

    Centring is linear, and an orthogonal projection in the space of symmetric matrices (with zero
    diagonal, for U-centring) under the Frobenius product, so it shortens a difference: with distance
    matrices D and D' and their centred A and A', |A' - A| <= |D' - D|. The square of dCor is the cosine
    of the angle between A and the other batch's matrix; where s = |D' - D| / |A| is below 1, A' lies within
    arcsin(s) of A, and a cosine moves by no more than the angle does. So the change is at most arcsin(s);
    otherwise nothing is known but the range of the square: [0, 1], or [-1, 1] for the unbiased one.

    Args:
        before: `(N, K)`.
        after: `(N, K')`.
        estimator: whose centring.
    """
    distances, changed = pairwise_distances(before), pairwise_distances(after)
    size, moved = centred(distances, estimator).norm(), (changed - distances).norm()
    anything = 1.0 if estimator == "biased" else 2.0
    if moved == 0:
        return 0.0
    return min(anything, float(torch.arcsin(moved / size))) if moved < size else anything


def largest_change_bound(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """`dcor_change_bound` of arrays, the larger of both estimators' where there are rows for both."""
    pair = torch.from_numpy(before), torch.from_numpy(after)
    if len(before) < 4:
        return dcor_change_bound(*pair)
    return max(dcor_change_bound(*pair, "biased"), dcor_change_bound(*pair, "unbiased"))
