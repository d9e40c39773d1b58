"""How many lists an inverted file must search: measured against exact search, with photos held out of its training."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mvmr_zoo.errors import ConfigError
from mvmr_zoo.search.index.faiss_io import faiss_library
from mvmr_zoo.search.index.manifest import CurvePoint, Tuning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mvmr_zoo.search.index.vector_index import VectorPart

TARGET = 0.99
NEAREST = 10
"""Recall is that of the 10 nearest."""

_QUERIES = 1_000
_TIMED = 50
_HELD_OUT_OF = 64
_TIE = 1e-6
"""Scores closer than this are taken for equal: sums of products in another order differ by so much."""

_CONFIDENCE = 1.645  # one-sided 95 %, normal


Search = Callable[["NDArray[np.float32]", int, int], tuple["NDArray[np.float32]", "NDArray[np.int64]"]]
"""Scores and ids, `(Q, K)` each, of queries `(Q, D)`, K and the number of lists to look into."""


class HeldOutQueries(NamedTuple):
    """Photos to ask with: their ids `(Q,)` and unit vectors `(Q, D)`."""

    ids: NDArray[np.int64]
    queries: NDArray[np.float32]


def held_out(ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which photos tuning asks with, and training leaves out: one in 64, by a hash of the id (Knuth's, by 2^32/phi)."""
    hashed = (ids.astype(np.uint64) * np.uint64(2654435761)) & np.uint64(2**32 - 1)
    return np.asarray((hashed >> np.uint64(16)) % np.uint64(_HELD_OUT_OF) == 0)


def query_ids(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most a thousand of the held-out ids, in order."""
    usable = ids[held_out(ids)]
    return np.sort(np.random.default_rng(1).choice(usable, min(_QUERIES, len(usable)), replace=False))


def check_recall(recall: float) -> None:
    """Raise ConfigError for a recall that cannot be asked for."""
    if not 0 < recall <= 1:
        raise ConfigError(f"recall is {recall}; expected a number above 0 and at most 1.")


def tune(
    search: Search, asked: HeldOutQueries, parts: Iterable[VectorPart], *, rows: int, nlist: int, target: float
) -> Tuning:
    """The smallest number of clusters whose recall@10 reaches a target by its 95 % lower bound, or all clusters.

    Args:
        search: Search of the index.
        asked: Queries. A query photo itself does not count as a hit.
        parts: All vectors, for exact search. They are read once.
        rows: Number of vectors.
        nlist: Number of clusters of the index.
        target: Recall, in (0, 1].
    """
    tenth = _tenth_best(asked, parts)
    measured: dict[int, CurvePoint] = {}

    def reaches(nprobe: int) -> bool:
        if nprobe not in measured:
            measured[nprobe] = _measure(search, asked, tenth, nprobe)
        return measured[nprobe].low >= target or nprobe >= nlist

    nprobe = fewest(reaches, nlist)
    reaches(nprobe)
    return Tuning(
        target=target,
        nprobe=nprobe,
        lists=nlist,
        queries=len(asked.ids),
        rows=rows,
        curve=tuple(measured[number] for number in sorted(measured)),
    )


def fewest(reaches: Callable[[int], bool], most: int) -> int:
    """The smallest number up to `most` that reaches a goal, found by doubling and then by halves."""
    high = 1
    while high < most and not reaches(high):
        high = min(2 * high, most)
    low = high // 2
    while high - low > max(1, low // 8):  # to an eighth
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def _tenth_best(asked: HeldOutQueries, parts: Iterable[VectorPart]) -> NDArray[np.float32]:
    """`(Q,)` exact score of the 10th nearest photo other than the query's own."""
    faiss = faiss_library()
    heap = faiss.ResultHeap(len(asked.ids), NEAREST + 1, keep_max=True)
    for part in parts:
        k, vectors = min(NEAREST + 1, len(part.ids)), part.vectors.astype(np.float32)
        scores, found = faiss.knn(asked.queries, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
        heap.add_result(scores, part.ids[found])
    heap.finalize()
    return _others(heap.D, heap.I, asked.ids)[:, -1]


def _others(scores: NDArray[np.float32], ids: NDArray[np.int64], own: NDArray[np.int64]) -> NDArray[np.float32]:
    """Scores `(Q, 10)` of the best photos that are not the query's own, from those of the best 11."""
    mine = ids == own[:, None]
    mine[~mine.any(axis=1), -1] = True
    return np.asarray(scores[~mine]).reshape(len(ids), -1)


def _measure(search: Search, asked: HeldOutQueries, tenth: NDArray[np.float32], nprobe: int) -> CurvePoint:
    scores, ids = search(asked.queries, NEAREST + 1, nprobe)
    recalls = (_others(scores, ids, asked.ids) >= tenth[:, None] - _TIE).mean(axis=1)
    error = float(recalls.std() / np.sqrt(len(recalls)))
    return CurvePoint(
        nprobe=nprobe,
        recall=round(float(recalls.mean()), 5),
        low=round(float(recalls.mean()) - _CONFIDENCE * error, 5),
        query_ms=_query_ms(search, asked.queries[:_TIMED], nprobe),
    )


def _query_ms(search: Search, queries: NDArray[np.float32], nprobe: int) -> float:
    """Milliseconds of one query on one thread, median."""
    times = []
    with _one_thread():
        for query in queries:
            start = time.perf_counter()
            search(query[None], NEAREST, nprobe)
            times.append(time.perf_counter() - start)
    return round(1e3 * float(np.median(times)), 3)


@contextmanager
def _one_thread() -> Iterator[None]:
    faiss = faiss_library()
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
