"""Average precision of a ranking, in the two common forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class AveragePrecision(NamedTuple):
    """Average precision in [0, 1]: the 11-point interpolation of PASCAL VOC 2007, and the area under the curve."""

    eleven_point: float
    area: float


def average_precision(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> AveragePrecision:
    """Compute the average precision of a ranking by scores.

    Rows with equal scores have the same rank. `eleven_point` is the mean over the recalls 0, 0.1, ..., 1 of the highest
    precision at that recall or a higher one (Everingham et al. 2010, section 4.2). `area` is the mean precision at the
    rank of each positive.

    Args:
        scores: `(N,)`. The highest score has the first rank.
        positive: `(N,)` mask of the positives, at least one.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(positive[order])
    last = np.append(ranked[1:] != ranked[:-1], True)  # of each group of equal scores
    found, taken = hits[last], np.flatnonzero(last) + 1
    precision, recall = found / taken, found / hits[-1]
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, np.arange(11) / 10 - 1e-12)
    eleven = float(best[at].mean())
    area = float((np.diff(recall, prepend=0.0) * precision).sum())
    return AveragePrecision(eleven, area)
