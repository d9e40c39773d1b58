"""`retrieval-v1`: each image is a query for all others, by cosine similarity. Mean average precision and recall@k.

The relevant images are the others of the query's class. The image of a class with one image is not a query.
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
    """The result of `retrieval`.

    Args:
        mean_average_precision: Mean over queries, in [0, 1].
        recall: Fraction of queries with a relevant image among the first k, by k.
        precisions: `(Q,)` average precision of each query.
        found: `(Q, ranks)` bool, whether a relevant image is among the first k, in the order of `recall`.
        queries: `(Q,)` row number of each query.
    """

    mean_average_precision: float
    recall: dict[int, float]
    precisions: NDArray[np.float64]
    found: NDArray[np.bool_]
    queries: NDArray[np.int64]


def retrieval(features: NDArray[np.float32], labels: ArrayLike, *, ranks: Sequence[int] = RANKS) -> RetrievalResult:
    """Evaluate leave-one-out retrieval within one split.

    In average precision, images of equal similarity have the same rank. In recall, irrelevant images come first among
    them, so an encoder with constant output has a recall of 0.

    Args:
        features: `(N, D)`. They need not be normalized.
        labels: `(N,)` class labels, numbers or strings.
        ranks: Values of k for recall@k.

    Raises:
        DataError: The split is empty, features are not finite, or no class has two images.
    """
    _, numbers = Classes.of(labels)
    check_features("test", features, len(numbers))
    queries = np.flatnonzero(np.bincount(numbers)[numbers] >= 2)
    if not len(queries):
        raise DataError("retrieval-v1 needs a class with at least two images.")
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
