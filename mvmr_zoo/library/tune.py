"""How many lists an inverted file must search: measured against exact search, with photos held out of its training."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mvmr_zoo.features import unit
from mvmr_zoo.library.index import vector_parts
from mvmr_zoo.library.manifest import CurvePoint, Tuning
from mvmr_zoo.nearest import faiss_library

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mvmr_zoo.library.store import Store

TARGET = 0.99
NEAREST = 10
"""Recall is that of the 10 nearest."""

_QUERIES = 1_000
_TIMED = 50
_EXACT_TIMED = 3
_HELD_OUT_OF = 64
_TIE = 1e-6
"""Scores closer than this are taken for equal: sums of products in another order differ by so much."""

_CONFIDENCE = 1.645  # one-sided 95 %, normal


class _Truth(NamedTuple):
    """Queries `(Q, D)`, their photos' ids `(Q,)`, and the score of the 10th nearest other photo `(Q,)`."""

    queries: NDArray[np.float32]
    ids: NDArray[np.int64]
    tenth: NDArray[np.float32]


def held_out(ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which photos tuning asks with, and training leaves out: one in 64, by a hash of the id (Knuth's, by 2^32/phi)."""
    hashed = (ids.astype(np.uint64) * np.uint64(2654435761)) & np.uint64(2**32 - 1)
    return np.asarray((hashed >> np.uint64(16)) % np.uint64(_HELD_OUT_OF) == 0)


def tuned(index: Any, store: Store, dim: int, target: float) -> Tuning:
    """The fewest lists whose recall@10 reaches a target, by its 95 % lower bound.

    Args:
        index: an inverted file of the store's photos.
        store: the database.
        dim: D.
        target: recall, in (0, 1].
    """
    truth = _truth(store, dim)
    measured: dict[int, CurvePoint] = {}

    def reaches(nprobe: int) -> bool:
        if nprobe not in measured:
            measured[nprobe] = _measure(index, truth, nprobe)
        return measured[nprobe].low >= target or nprobe >= index.nlist

    nprobe = fewest(reaches, int(index.nlist))
    return Tuning(
        target=target,
        nprobe=nprobe,
        lists=int(index.nlist),
        queries=len(truth.ids),
        rows=int(index.ntotal),
        exact_ms=_query_ms(index, truth.queries[:_EXACT_TIMED], int(index.nlist)),
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


def _truth(store: Store, dim: int) -> _Truth:
    """The exact answers to queries with held-out photos, in one pass over the store."""
    faiss = faiss_library()
    ids = store.all_ids()
    usable = ids[held_out(ids)]
    chosen = np.sort(np.random.default_rng(1).choice(usable, min(_QUERIES, len(usable)), replace=False))
    rows = store.by_id(chosen.tolist())
    queries = unit(np.stack([rows[id_].vector for id_ in chosen.tolist()]).astype(np.float32))
    heap = faiss.ResultHeap(len(queries), NEAREST + 1, keep_max=True)
    for part in vector_parts(store, dim):
        vectors = part.vectors.astype(np.float32)
        scores, found = faiss.knn(queries, vectors, min(NEAREST + 1, len(vectors)), metric=faiss.METRIC_INNER_PRODUCT)
        heap.add_result(scores, part.ids[found])
    heap.finalize()
    return _Truth(queries, chosen, _others(heap.D, heap.I, chosen)[:, -1])


def _others(scores: NDArray[np.float32], ids: NDArray[np.int64], own: NDArray[np.int64]) -> NDArray[np.float32]:
    """Scores `(Q, 10)` of the best photos that are not the query's own, from those of the best 11."""
    mine = ids == own[:, None]
    mine[~mine.any(axis=1), -1] = True
    return np.asarray(scores[~mine]).reshape(len(ids), -1)


def _measure(index: Any, truth: _Truth, nprobe: int) -> CurvePoint:
    params = faiss_library().SearchParametersIVF(nprobe=nprobe)
    scores, ids = index.search(truth.queries, NEAREST + 1, params=params)
    recalls = (_others(scores, ids, truth.ids) >= truth.tenth[:, None] - _TIE).mean(axis=1)
    error = float(recalls.std() / np.sqrt(len(recalls)))
    return CurvePoint(
        nprobe=nprobe,
        recall=round(float(recalls.mean()), 5),
        low=round(float(recalls.mean()) - _CONFIDENCE * error, 5),
        query_ms=_query_ms(index, truth.queries[:_TIMED], nprobe),
    )


def _query_ms(index: Any, queries: NDArray[np.float32], nprobe: int) -> float:
    """Milliseconds of one query on one thread, median."""
    params = faiss_library().SearchParametersIVF(nprobe=nprobe)
    times = []
    with _one_thread():
        for query in queries:
            start = time.perf_counter()
            index.search(query[None], NEAREST, params=params)
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
