"""From a query's vector to hits: in the order of the index, filtered, near duplicates behind their best copy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo.library.duplicates import find_duplicates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mvmr_zoo.library.index import VectorIndex
    from mvmr_zoo.library.query import Filters, Query
    from mvmr_zoo.library.store import Store

_FIRST, _TIMES_MORE = 64, 4


@dataclass(frozen=True)
class Hit:
    """A photo found.

    Args:
        id: its number in the library.
        path: of its file.
        score: cosine similarity to the query, in [-1, 1].
        percentile: of the score among those of the library's photos at random, 0 to 100; None in a small library.
        copies: near duplicates of it among the hits, where they were grouped.
    """

    id: int
    path: Path
    score: float
    percentile: float | None = None
    copies: tuple[Hit, ...] = ()


def ranked_hits(
    store: Store, index: VectorIndex, vector: NDArray[np.float32], filters: Filters, *, hidden: Query | None
) -> Iterator[Hit]:
    """Every hit, best first, read from the index in growing parts as they are asked for.

    Args:
        store: of the library.
        index: of the store.
        vector: `(D,)` unit.
        filters: which photos may answer.
        hidden: whose photos may not answer.
    """
    among = store.ids(*filters.conditions()) if filters.narrows else None
    total = index.rows if among is None else len(among)
    seen, wanted = set[int](), _FIRST
    while len(seen) < total and wanted < _TIMES_MORE * max(total, _FIRST):
        found = index.search(vector, wanted, among=among)
        fresh = [
            (id_, score)
            for id_, score in zip(found.ids.tolist(), found.scores.tolist(), strict=True)
            if id_ not in seen
        ]
        rows = store.by_id(id_ for id_, _ in fresh)
        for id_, score in fresh:
            percentile = index.percentile(score)
            if filters.min_percentile is not None and percentile is not None and percentile < filters.min_percentile:
                return
            if id_ in rows:
                path = Path(os.fsdecode(rows[id_].path))
                if os.path.exists(path) and not (hidden is not None and asks_with(hidden, id_, path)):
                    yield Hit(id_, path, score, percentile)
            seen.add(id_)
        wanted *= _TIMES_MORE


def grouped_hits(store: Store, hits: Iterator[Hit], wanted: int) -> Iterator[Hit]:
    """The best copy of every photo found, with its near duplicates, in the order of the best score of each.

    Args:
        store: of the library.
        hits: best first.
        wanted: groups that will be asked for: twice as many hits are looked through.
    """
    looked = [hit for hit, _ in zip(hits, range(2 * wanted), strict=False)]
    photos = store.by_id([hit.id for hit in looked])
    leader: dict[int, int] = {}
    for group in find_duplicates(photos):
        leader |= {copy.id: group.id for copy in group.copies}
    by_id = {hit.id: hit for hit in looked}
    groups: dict[int, list[Hit]] = {}
    for hit in looked:
        groups.setdefault(leader.get(hit.id, hit.id), []).append(hit)
    for best, members in groups.items():
        head = by_id[best]
        yield Hit(head.id, head.path, head.score, head.percentile, tuple(hit for hit in members if hit.id != best))


def asks_with(query: Query, id_: int, path: Path) -> bool:
    """Whether a photo is one of a query's own, perhaps by another name."""
    asked = (*query.like, *query.unlike)
    return id_ in (*query.like_ids, *query.unlike_ids) or any(_is_file(photo, path) for photo in asked)


def _is_file(photo: Any, path: Path) -> bool:
    try:
        return isinstance(photo, (str, os.PathLike)) and os.path.samefile(photo, path)
    except OSError:
        return False
