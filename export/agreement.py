"""Agreement between two sets of features of the same photos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo.inference import unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

TIE = 1e-5
"""Neighbors are tied if their cosine similarities differ by at most this much."""


@dataclass(frozen=True)
class Agreement:
    """Agreement of features with reference features. Cosines and agreements are at most 1, which means equal.

    Args:
        photos: Number of photos N.
        max_absolute_error: Largest absolute difference of any feature value.
        mean_absolute_error: Mean absolute difference of all feature values.
        cosine_min: Lowest cosine similarity between the two vectors of a photo.
        cosine_p1: 1st percentile of the cosine similarity over photos.
        cosine_mean: Mean cosine similarity over photos.
        top1_agreement: Fraction of photos with the same nearest neighbor.
        top10_agreement: Mean fraction of the ten nearest neighbors that are also among the ten nearest in the
            reference.
    """

    photos: int
    max_absolute_error: float
    mean_absolute_error: float
    cosine_min: float
    cosine_p1: float
    cosine_mean: float
    top1_agreement: float
    top10_agreement: float


def agreement(reference: NDArray[np.float32], features: NDArray[np.float32]) -> Agreement:
    """Compare features with reference features.

    Args:
        reference: Reference features `(N, D)`, with N at least 2.
        features: Features `(N, D)` of the same photos in the same order. Values that are not finite count as
            disagreement.
    """
    cosine = cosines(reference, features)
    with np.errstate(invalid="ignore"):  # infinity minus infinity is NaN
        error = np.abs(features.astype(np.float64) - reference)
    error[~np.isfinite(error)] = np.inf
    return Agreement(
        photos=len(reference),
        max_absolute_error=float(error.max()),
        mean_absolute_error=float(error.mean()),
        cosine_min=float(cosine.min()),
        cosine_p1=float(np.percentile(cosine, 1)),
        cosine_mean=float(cosine.mean()),
        top1_agreement=neighbor_agreement(reference, features, 1),
        top10_agreement=neighbor_agreement(reference, features, 10),
    )


def cosines(reference: NDArray[np.float32], features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the row-wise cosine similarities `(N,)` of two `(N, D)` arrays; -1 where a value is not finite."""
    with np.errstate(all="ignore"):
        products = (unit(reference).astype(np.float64) * unit(features)).sum(axis=1)
    return np.where(np.isfinite(products), np.minimum(products, 1.0), -1.0)


def neighbor_agreement(reference: NDArray[np.float32], features: NDArray[np.float32], k: int) -> float:
    """Return the mean fraction of the K nearest neighbors in `features` that are also nearest in `reference`.

    A photo within `TIE` of the K-th nearest neighbor in `reference` counts as a match, so that rounding does not
    make copies of a photo disagree.

    Args:
        reference: Reference features `(N, D)`, with N at least 2.
        features: Features `(N, D)` of the same photos.
        k: Number of neighbors K; reduced to N - 1 if larger.
    """
    if not np.isfinite(features).all():
        return 0.0
    k = min(k, len(reference) - 1)
    expected = _similarities(reference)
    nearest = np.argpartition(-_similarities(features), k - 1, axis=1)[:, :k]
    kth_similarity = -np.partition(-expected, k - 1, axis=1)[:, k - 1 : k]
    return float((np.take_along_axis(expected, nearest, axis=1) >= kth_similarity - TIE).mean())


def _similarities(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine similarities `(N, N)`, with -inf on the diagonal."""
    rows = unit(features)
    similarities = rows @ rows.T
    np.fill_diagonal(similarities, -np.inf)
    return similarities
