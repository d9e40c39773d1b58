"""How similar a library's photos are to one another at random: what a score is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST = 20
"""A percentile among fewer photos would say nothing."""

BACKGROUND_ROWS = 2_000
"""Rows that are enough to draw pairs from."""

_PAIRS = 20_000


def quantiles(vectors: NDArray[np.float32]) -> tuple[float, ...]:
    """Quantiles 0 to 100 of the cosines of random pairs of different rows of `(N, D)`; none of fewer than `FEWEST`."""
    if len(vectors) < FEWEST:
        return ()
    random = np.random.default_rng(0)
    first = random.integers(len(vectors), size=_PAIRS)
    second = (first + random.integers(1, len(vectors), size=_PAIRS)) % len(vectors)
    cosines = np.einsum("nd,nd->n", vectors[first], vectors[second])
    return tuple(float(each) for each in np.quantile(cosines, np.linspace(0, 1, 101)))


def percentile(background: tuple[float, ...], score: float) -> float | None:
    """How many of a hundred random pairs are less similar than a score; None where there is no background."""
    if not background:
        return None
    return float(np.interp(score, background, np.linspace(0, 100, len(background))))
