"""Similarity of random pairs of photos, used to convert a score to a percentile."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_ROWS = 20
"""Smallest number of photos for which a percentile is meaningful."""

CALIBRATION_ROWS = 2_000
"""Number of photos from which random pairs are drawn."""

_PAIRS = 20_000


def random_pair_quantiles(vectors: NDArray[np.float32]) -> tuple[float, ...]:
    """Percentiles 0 to 100 of the cosine similarities of random pairs of rows of `(N, D)`. Empty if N < `MIN_ROWS`."""
    if len(vectors) < MIN_ROWS:
        return ()
    random = np.random.default_rng(0)
    first = random.integers(len(vectors), size=_PAIRS)
    second = (first + random.integers(1, len(vectors), size=_PAIRS)) % len(vectors)
    cosines = np.einsum("nd,nd->n", vectors[first], vectors[second])
    return tuple(float(each) for each in np.quantile(cosines, np.linspace(0, 1, 101)))


def score_percentile(quantiles: tuple[float, ...], score: float) -> float | None:
    """Percentage of random pairs that are less similar than the score. None if there are no quantiles."""
    if not quantiles:
        return None
    return float(np.interp(score, quantiles, np.linspace(0, 100, len(quantiles))))


def percentile_text(percentile: float) -> str:
    """A percentile with one decimal. Rounded down, because 100.0 means that no random pair is as similar."""
    return f"{math.floor(10 * percentile) / 10:.1f}"
