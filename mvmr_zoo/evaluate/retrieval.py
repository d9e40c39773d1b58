"""`retrieval-v1`: every image queries all others; mean average precision and recall@k.

Cosine similarity; the others of the query's class are to be found. A class of one image is only ever a wrong answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo.errors import DataError
from mvmr_zoo.evaluate.average_precision import average_precision
from mvmr_zoo.evaluate.labels import Classes, check_features
from mvmr_zoo.inference import unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

RANKS = (1, 5, 10)
_QUERIES_AT_ONCE = 256


@dataclass(frozen=True)
class RetrievalResult:
    """Args:
    mean_average_precision: over queries, in [0, 1].
    recall: share of queries with an image of their class among the first k, by k.
    precisions: `(Q,)` average precision of each query.
    found: `(Q, ranks)` bool, whether the first k hold one, in the order of `recall`.
    queries: `(Q,)` row of each query: all rows whose class has another image.
    """

    mean_average_precision: float
    recall: dict[int, float]
    precisions: NDArray[np.float64]
    found: NDArray[np.bool_]
    queries: NDArray[np.int64]


def retrieval(features: NDArray[np.float32], labels: ArrayLike, *, ranks: Sequence[int] = RANKS) -> RetrievalResult:
    """Leave-one-out retrieval within one split.

    Images of equal similarity are one step of the ranking in average precision; in recall wrong ones come first, so
    that an encoder which cannot tell images apart gains nothing.

    Args:
        features: `(N, D)`, any length; they are scaled to unit norm here.
        labels: `(N,)` classes: numbers or text.
        ranks: k of recall@k.

    Raises:
        DataError: an empty split, features that are not finite, or no class of two images.
    """
    _, numbers = Classes.of(labels)
    check_features("test", features, len(numbers))
    queries = np.flatnonzero(np.bincount(numbers)[numbers] >= 2)
    if not len(queries):
        raise DataError("retrieval-v1 got one image a class; there is nothing to find.")
    rows = unit(features)
    precisions, found = [], []
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        block = queries[start : start + _QUERIES_AT_ONCE]
        similarity = rows[block] @ rows.T
        for query, scores in zip(block, similarity, strict=True):
            others = np.arange(len(rows)) != query
            scores, right = scores[others], numbers[others] == numbers[query]
            precisions.append(average_precision(scores, right).area)
            before = np.count_nonzero(scores[~right] >= scores[right].max())
            found.append([before < k for k in ranks])
    hits = np.asarray(found)
    return RetrievalResult(
        float(np.mean(precisions)),
        {k: float(share) for k, share in zip(ranks, hits.mean(axis=0), strict=True)},
        np.asarray(precisions),
        hits,
        queries,
    )
