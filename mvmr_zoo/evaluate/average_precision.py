"""Average precision of a ranking, in the two forms that are in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class AveragePrecision(NamedTuple):
    """Average precision in [0, 1]: PASCAL VOC 2007's eleven points, and the area under the curve."""

    eleven_point: float
    area: float


def average_precision(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> AveragePrecision:
    """How well scores rank the positives first.

    Rows of equal score are one step of the ranking: their order means nothing. `eleven_point` is the mean over
    recalls 0, 0.1, ..., 1 of the highest precision at that recall or a higher one (Everingham et al. 2010, section
    4.2); `area` is the mean precision at the step of each positive.

    Args:
        scores: `(N,)` higher first.
        positive: `(N,)` which rows are to be found, at least one.
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
