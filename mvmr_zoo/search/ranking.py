"""From a query vector to hits: ranking by the index, filters, and grouping of near duplicates."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mvmr_zoo.errors import LibraryError
from mvmr_zoo.search.duplicates import is_copy, photo_rank

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mvmr_zoo.search.index import VectorIndex
    from mvmr_zoo.search.query import Filters, Query
    from mvmr_zoo.search.rows import PhotoRow
    from mvmr_zoo.search.store import Store

_EXTRA_HITS = 32
"""Hits requested in addition to those wanted, because some may be deleted or excluded."""

_GROWTH = 4
"""Factor between the sizes of successive requests to the index."""

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
        copies: Near duplicates of the photo among the hits, if hits are grouped.
    """

    id: int
    path: Path
    score: float
    percentile: float | None = None
    copies: tuple[Hit, ...] = ()


def ranked_hits(
    store: Store,
    index: VectorIndex,
    vector: NDArray[np.float32],
    filters: Filters,
    *,
    exclude: Query | None,
    wanted: int,
) -> Iterator[Hit]:
    """Yield all hits, best first. They are read from the index in parts of growing size.

    For a larger part, an inverted file may search more of its clusters. Therefore, only the first `wanted` hits are
    guaranteed to be in order.

    Args:
        store: Library database.
        index: Index of the library.
        vector: Unit vector `(D,)` of the query.
        filters: Conditions that hits must meet.
        exclude: Query whose photos are excluded.
        wanted: Approximate number of hits that the caller will consume.

    Raises:
        LibraryError: The files of the 1,000 best photos are missing, because their disk is disconnected.
    """
    among = store.ids(*filters.conditions()) if filters.narrows else None
    total = index.rows if among is None else len(among)
    seen, k, missing, yielded = set[int](), _EXTRA_HITS + wanted, 0, 0
    while len(seen) < total and k < _GROWTH * (_EXTRA_HITS + max(total, wanted)):
        found = index.search(vector, k, among=among)
        fresh = [
            (id_, score)
            for id_, score in zip(found.ids.tolist(), found.scores.tolist(), strict=True)
            if id_ not in seen
        ]
        paths = store.paths_of(id_ for id_, _ in fresh)
        for id_, score in fresh:
            percentile = index.percentile(score)
            if filters.min_percentile is not None and percentile is not None and percentile < filters.min_percentile:
                return
            if id_ in paths:
                path = Path(os.fsdecode(paths[id_]))
                missing = 0 if os.path.exists(path) else missing + 1
                if missing == 0 and not (exclude is not None and is_query_photo(exclude, id_, path)):
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


def grouped_hits(store: Store, hits: Iterator[Hit], wanted: int) -> Iterator[Hit]:
    """Group near duplicates. Yields the best copy of each group with the others as `copies`, by best score.

    A hit joins the first group whose first hit it is a copy of. Therefore, groups do not depend on `wanted`.

    Args:
        store: Library database.
        hits: Hits, best first.
        wanted: Number of groups that the caller will consume. At least twice as many hits are searched for copies.
    """
    groups: list[_Group] = []
    for count, hit in enumerate(hits, start=1):
        photo = store.by_id([hit.id]).get(hit.id)
        if photo is not None:
            group = next((each for each in groups if is_copy(each.first, photo)), None)
            if group is None:
                groups.append(_Group(photo, [(photo_rank(photo), hit)]))
            else:
                group.members.append((photo_rank(photo), hit))
        if len(groups) >= wanted and count >= 2 * wanted:
            break
    for group in groups:
        _, best = min(group.members, key=lambda member: member[0])
        yield replace(best, copies=tuple(hit for _, hit in group.members if hit is not best))


class _Group(NamedTuple):
    """The photo of the first hit, and all hits with the rank of their photos. Lower ranks are better."""

    first: PhotoRow
    members: list[tuple[tuple[int, int, bytes], Hit]]


def is_query_photo(query: Query, id_: int, path: Path) -> bool:
    """Whether a photo is part of the query, possibly under another file name."""
    examples = (*query.like, *query.unlike)
    return id_ in (*query.like_ids, *query.unlike_ids) or any(_is_same_file(photo, path) for photo in examples)


def _is_same_file(photo: Any, path: Path) -> bool:
    try:
        return isinstance(photo, (str, os.PathLike)) and os.path.samefile(photo, path)
    except OSError:
        return False
