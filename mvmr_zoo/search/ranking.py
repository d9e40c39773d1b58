"""From a query's vector to hits: in the order of the index, filtered, near duplicates behind their best copy."""

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

_SPARE, _TIMES_MORE = 32, 4
"""Hits that are asked for beyond those wanted, since some may be gone or hidden; and how parts grow."""

_GONE_AT_MOST = 1_000
"""When so many in a row are gone, a disk is: to look at all of them would take minutes."""


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
    store: Store,
    index: VectorIndex,
    vector: NDArray[np.float32],
    filters: Filters,
    *,
    hidden: Query | None,
    wanted: int,
) -> Iterator[Hit]:
    """Every hit, best first, read from the index in growing parts as they are asked for.

    An inverted file may answer a later, larger part from more of its lists: only `wanted` hits are sure to be in order.

    Args:
        store: of the library.
        index: of the store.
        vector: `(D,)` unit.
        filters: which photos may answer.
        hidden: whose photos may not answer.
        wanted: how many will be asked for, about.

    Raises:
        LibraryError: the thousand best are not where they were: their disk is not connected.
    """
    among = store.ids(*filters.conditions()) if filters.narrows else None
    total = index.rows if among is None else len(among)
    seen, part, gone, given = set[int](), _SPARE + wanted, 0, 0
    while len(seen) < total and part < _TIMES_MORE * (_SPARE + max(total, wanted)):
        found = index.search(vector, part, among=among)
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
                gone = 0 if os.path.exists(path) else gone + 1
                if gone == 0 and not (hidden is not None and asks_with(hidden, id_, path)):
                    given += 1
                    yield Hit(id_, path, score, percentile)
                elif gone == _GONE_AT_MOST and given == 0:
                    raise LibraryError(
                        f"The {gone:,} best photos are not where they were, as {path}. If their disk is not "
                        "connected, connect it; else run `mvmr-zoo index add` of their folder to take note of it."
                    )
                elif gone == _GONE_AT_MOST:
                    return
            seen.add(id_)
        part *= _TIMES_MORE


def grouped_hits(store: Store, hits: Iterator[Hit], wanted: int) -> Iterator[Hit]:
    """The best copy of every photo found, with its near duplicates, in the order of the best score of each.

    A hit belongs to the first group whose first hit it is a copy of; so groups do not depend on how many are wanted.

    Args:
        store: of the library.
        hits: best first.
        wanted: groups that will be asked for; twice as many hits are looked through for their copies.
    """
    groups: list[_Group] = []
    for looked, hit in enumerate(hits, start=1):
        photo = store.by_id([hit.id]).get(hit.id)
        if photo is not None:
            group = next((each for each in groups if is_copy(each.first, photo)), None)
            if group is None:
                groups.append(_Group(photo, [(photo_rank(photo), hit)]))
            else:
                group.members.append((photo_rank(photo), hit))
        if len(groups) >= wanted and looked >= 2 * wanted:
            break
    for group in groups:
        _, head = min(group.members, key=lambda member: member[0])
        yield replace(head, copies=tuple(hit for _, hit in group.members if hit is not head))


class _Group(NamedTuple):
    """The photo of the first hit, and every hit with its photo's rank, the best lowest."""

    first: PhotoRow
    members: list[tuple[tuple[int, int, bytes], Hit]]


def asks_with(query: Query, id_: int, path: Path) -> bool:
    """Whether a photo is one of a query's own, perhaps by another name."""
    asked = (*query.like, *query.unlike)
    return id_ in (*query.like_ids, *query.unlike_ids) or any(_is_file(photo, path) for photo in asked)


def _is_file(photo: Any, path: Path) -> bool:
    try:
        return isinstance(photo, (str, os.PathLike)) and os.path.samefile(photo, path)
    except OSError:
        return False
