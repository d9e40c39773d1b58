"""How well two sets of features of the same photos agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo.inference import unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

TIE = 1e-5
"""Neighbors whose cosines differ by no more are taken for equally near."""


@dataclass(frozen=True)
class Agreement:
    """How features agree with those of a reference. Cosines and agreements are at most 1, which is equal.

    Args:
        photos: N.
        max_absolute_error: of any feature.
        mean_absolute_error: of all features.
        cosine_min: of a photo's two vectors.
        cosine_p1: the 1st percentile over photos.
        cosine_mean: over photos.
        top1_agreement: fraction of photos with the same nearest other photo.
        top10_agreement: the same of the ten nearest: how many are among the reference's ten, as a fraction.
    """

    photos: int
    max_absolute_error: float
    mean_absolute_error: float
    cosine_min: float
    cosine_p1: float
    cosine_mean: float
    top1_agreement: float
    top10_agreement: float


def agreement(reference: NDArray[np.float32], found: NDArray[np.float32]) -> Agreement:
    """How features agree with a reference's.

    Args:
        reference: `(N, D)`, N at least 2.
        found: `(N, D)`; rows are the same photos. What is not finite agrees with nothing.
    """
    cosine = cosines(reference, found)
    with np.errstate(invalid="ignore"):  # the same infinity on both sides
        error = np.abs(found.astype(np.float64) - reference)
    error[~np.isfinite(error)] = np.inf
    return Agreement(
        photos=len(reference),
        max_absolute_error=float(error.max()),
        mean_absolute_error=float(error.mean()),
        cosine_min=float(cosine.min()),
        cosine_p1=float(np.percentile(cosine, 1)),
        cosine_mean=float(cosine.mean()),
        top1_agreement=neighbor_agreement(reference, found, 1),
        top10_agreement=neighbor_agreement(reference, found, 10),
    )


def cosines(reference: NDArray[np.float32], found: NDArray[np.float32]) -> NDArray[np.float64]:
    """`(N,)` cosines of the rows of two `(N, D)`; -1 where a value is not finite."""
    with np.errstate(all="ignore"):
        products = (unit(reference).astype(np.float64) * unit(found)).sum(axis=1)
    return np.where(np.isfinite(products), np.minimum(products, 1.0), -1.0)


def neighbor_agreement(reference: NDArray[np.float32], found: NDArray[np.float32], k: int) -> float:
    """How many of the `k` nearest other photos in `found` are among the nearest of `reference`, as a fraction.

    A photo that `reference` puts within `TIE` of its `k`-th nearest counts as one of them: copies of a photo must
    not disagree by the last digit.

    Args:
        reference: `(N, D)`, N at least 2.
        found: `(N, D)`.
        k: neighbors; no more than N - 1 are asked for.
    """
    if not np.isfinite(found).all():
        return 0.0
    k = min(k, len(reference) - 1)
    wanted = _similarities(reference)
    nearest = np.argpartition(-_similarities(found), k - 1, axis=1)[:, :k]
    farthest = -np.partition(-wanted, k - 1, axis=1)[:, k - 1 : k]
    return float((np.take_along_axis(wanted, nearest, axis=1) >= farthest - TIE).mean())


def _similarities(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """`(N, N)` cosines; a photo is not its own neighbor."""
    rows = unit(features)
    similar = rows @ rows.T
    np.fill_diagonal(similar, -np.inf)
    return similar
