"""From a query vector to hits: ranking by the index, filters, and grouping of near duplicates."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo.errors import LibraryError
from mvmr_zoo.inference import unit
from mvmr_zoo.search.duplicates import COSINE, is_copy, photo_rank

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mvmr_zoo.search.index import VectorIndex
    from mvmr_zoo.search.query import Query
    from mvmr_zoo.search.rows import PhotoRow
    from mvmr_zoo.search.store import Store

_EXTRA_HITS = 32
"""Hits requested in addition to those wanted, because some may be deleted or excluded."""

_GROWTH = 4
"""Factor between the sizes of successive requests to the index."""

_COPY_CANDIDATES = 16
"""Nearest neighbors of a photo that are compared with it at a time."""

_MAX_MISSING_IN_A_ROW = 1_000
"""So many missing files in a row mean a disconnected disk. Checking all photos would take minutes."""


@dataclass(frozen=True)
class Hit:
    """A search result.

    Args:
        id: Id of the photo in the library.
        path: Path of the photo.
        score: Cosine similarity to the query, in [-1, 1].
        percentile: Percentile of the score among scores of random pairs of photos in the library, 0 to 100. None if the
            library is too small.
        copies: Near duplicates of the photo, most similar to the query first, if hits are grouped.
    """

    id: int
    path: Path
    score: float
    percentile: float | None = None
    copies: tuple[Hit, ...] = ()


@dataclass(frozen=True)
class Ranking:
    """What hits are ranked by and selected from.

    Args:
        store: Library database.
        index: Index of the library.
        vector: Unit vector `(D,)` of the query.
        among: Ids of photos to consider. None means all.
        min_percentile: Smallest percentile of hits. None means no limit.
        exclude: Query whose photos are excluded.
    """

    store: Store
    index: VectorIndex
    vector: NDArray[np.float32]
    among: NDArray[np.int64] | None
    min_percentile: float | None
    exclude: Query | None

    def is_too_small(self, percentile: float | None) -> bool:
        """Whether a percentile is below the limit."""
        return self.min_percentile is not None and percentile is not None and percentile < self.min_percentile

    def is_excluded(self, id_: int, path: Path) -> bool:
        """Whether a photo is part of the query that is excluded."""
        return self.exclude is not None and is_query_photo(self.exclude, id_, path)


def ranked_hits(ranking: Ranking, *, wanted: int) -> Iterator[Hit]:
    """Yield all hits, best first. They are read from the index in parts of growing size.

    For a larger part, an inverted file may search more of its clusters. Therefore, only the first `wanted` hits are
    guaranteed to be in order.

    Args:
        ranking: The query, and the photos to rank.
        wanted: Approximate number of hits that the caller will consume.

    Raises:
        LibraryError: The files of the 1,000 best photos are missing, because their disk is disconnected.
    """
    index, among = ranking.index, ranking.among
    total = index.rows if among is None else len(among)
    seen, k, missing, yielded = set[int](), _EXTRA_HITS + wanted, 0, 0
    while len(seen) < total and k < _GROWTH * (_EXTRA_HITS + max(total, wanted)):
        found = index.search(ranking.vector, k, among=among)
        fresh = [
            (id_, score)
            for id_, score in zip(found.ids.tolist(), found.scores.tolist(), strict=True)
            if id_ not in seen
        ]
        paths = ranking.store.paths_of(id_ for id_, _ in fresh)
        for id_, score in fresh:
            percentile = index.percentile(score)
            if ranking.is_too_small(percentile):
                return
            if id_ in paths:
                path = Path(os.fsdecode(paths[id_]))
                missing = 0 if os.path.exists(path) else missing + 1
                if missing == 0 and not ranking.is_excluded(id_, path):
                    yielded += 1
                    yield Hit(id_, path, score, percentile)
                elif missing == _MAX_MISSING_IN_A_ROW and yielded == 0:
                    raise LibraryError(
                        f"The files of the {missing:,} best photos are missing, for example {path}. If their disk is "
                        "disconnected, connect it. Otherwise, run `mvmr-zoo index add` for their folder."
                    )
                elif missing == _MAX_MISSING_IN_A_ROW:
                    return
            seen.add(id_)
        k *= _GROWTH


def grouped_hits(ranking: Ranking, hits: Iterable[Hit]) -> Iterator[Hit]:
    """Group near duplicates. Yields the best copy of each group with the others as `copies`, most similar first.

    A group has all copies of its most similar hit, wherever they rank. Therefore, groups do not depend on the number of
    hits that the caller consumes. The best copy may be less similar to the query than the hits of the next group.

    Args:
        ranking: The query, and the photos that may be copies.
        hits: Hits, best first.
    """
    grouped = set[int]()
    for hit in hits:
        first = ranking.store.by_id([hit.id]).get(hit.id)
        if first is None or hit.id in grouped:
            continue
        members = [(photo_rank(first), hit)]
        for id_, photo in _copies_of(ranking, hit.id, first).items():
            copy = None if id_ in grouped else _hit(ranking, id_, photo)
            if copy is not None and not ranking.is_excluded(id_, copy.path):
                members.append((photo_rank(photo), copy))
        grouped.update(copy.id for _, copy in members)
        _, best = min(members, key=lambda member: member[0])
        copies = sorted((copy for _, copy in members if copy is not best), key=lambda copy: -copy.score)
        yield replace(best, copies=tuple(copies))


def _copies_of(ranking: Ranking, own_id: int, photo: PhotoRow) -> dict[int, PhotoRow]:
    """Photos by id that are exact or near duplicates of a photo, without itself. Missing photos are excluded.

    Near duplicates are searched among the nearest neighbors of the photo, until there are no more.

    Args:
        ranking: The photos to consider.
        own_id: Id of the photo.
        photo: Photo of the library.
    """
    store, among = ranking.store, ranking.among
    exact = store.ids("content = ?", [photo.sha256])
    exact = exact if among is None else np.intersect1d(exact, among)
    copies = store.by_id((id_ for id_ in exact.tolist() if id_ != own_id), missing=False)
    vector = unit(photo.vector[None].astype(np.float32))[0]
    checked, k = {own_id, *copies}, 1 + len(copies)
    while True:
        k += _COPY_CANDIDATES
        neighbors = ranking.index.search(vector, k, among=among)
        near = neighbors.ids[neighbors.scores >= COSINE].tolist()
        rows = store.by_id((id_ for id_ in near if id_ not in checked), missing=False)
        more = {id_: row for id_, row in rows.items() if is_copy(photo, row)}
        checked.update(near)
        copies |= more
        if not more or len(near) < k:
            return dict(sorted(copies.items()))


def _hit(ranking: Ranking, id_: int, photo: PhotoRow) -> Hit | None:
    """A photo as a hit. None if its file does not exist or its percentile is too small."""
    path = Path(os.fsdecode(photo.path))
    score = min(float(unit(photo.vector[None].astype(np.float32))[0] @ ranking.vector), 1.0)
    percentile = ranking.index.percentile(score)
    too_small = ranking.is_too_small(percentile)
    return None if too_small or not os.path.exists(path) else Hit(id_, path, score, percentile)


def is_query_photo(query: Query, id_: int, path: Path) -> bool:
    """Whether a photo is part of the query, possibly under another file name."""
    examples = (*query.like, *query.unlike)
    return id_ in (*query.like_ids, *query.unlike_ids) or any(_is_same_file(photo, path) for photo in examples)


def _is_same_file(photo: Any, path: Path) -> bool:
    try:
        return isinstance(photo, (str, os.PathLike)) and os.path.samefile(photo, path)
    except OSError:
        return False
