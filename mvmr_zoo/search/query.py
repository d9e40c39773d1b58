"""Queries and filters of a search."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo.errors import ConfigError, DataError
from mvmr_zoo.images import names_of
from mvmr_zoo.inference import unit
from mvmr_zoo.search.store import path_range

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mvmr_zoo.search.store import Store

UNLIKE_WEIGHT = 0.5
"""Weight of the mean of the negative examples, relative to the mean of the positive ones (Rocchio, 1971)."""

_MAX_PX = 2**31
_FOLDERS_SHOWN = 10
_DATE_FORMATS = {4: "%Y", 7: "%Y-%m", 10: "%Y-%m-%d"}


@dataclass(frozen=True, kw_only=True)
class Query:
    """A query: photos that hits should resemble, and photos that they should not resemble.

    A photo is a path, PIL image, array or tensor. It can also be given as a vector `(D,)` from `library.model.embed`.

    Args:
        like: Photos that hits should resemble.
        like_ids: The same for photos of the library, by id. They need no inference.
        unlike: Photos that hits should not resemble.
        unlike_ids: The same for photos of the library, by id.
    """

    like: Sequence[Any] = ()
    like_ids: Sequence[int] = ()
    unlike: Sequence[Any] = ()
    unlike_ids: Sequence[int] = ()

    def __post_init__(self) -> None:
        """Raise ConfigError if there is neither `like` nor `like_ids`."""
        if not len(self.like) and not self.like_ids:
            raise ConfigError("The query contains no photo to search for. Specify at least one photo or id.")


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Conditions that hits must meet. None means no condition.

    Args:
        folder: Only photos in this folder and its subfolders. `PhotoLibrary.search` raises DataError if the library has
            none.
        taken_from: Only photos taken on this date or later: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`. Photos without a date
            are excluded.
        taken_to: Only photos taken on this date or earlier. A month or year includes its last day.
        min_px: Smallest length of the short side, in pixels.
        min_percentile: Only hits with a score above this percentile, 0 to 100, of scores of random pairs of photos in
            the library.
    """

    folder: str | os.PathLike[str] | None = None
    taken_from: str | None = None
    taken_to: str | None = None
    min_px: int | None = None
    min_percentile: float | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for an invalid date, dates in the wrong order, or a number out of range."""
        for name, date in (("taken_from", self.taken_from), ("taken_to", self.taken_to)):
            if date is not None and not _is_date(date):
                raise ConfigError(f"{name} is {date!r}; expected a date as YYYY-MM-DD, YYYY-MM or YYYY.")
        if self.taken_from is not None and self.taken_to is not None and self.taken_from > _last_of(self.taken_to):
            raise ConfigError(
                f"The first date, {self.taken_from}, is later than the last date, {self.taken_to}. "
                f"Specify the earlier date first: from {self.taken_to} to {self.taken_from}."
            )
        if self.min_percentile is not None and not 0 <= self.min_percentile <= 100:
            raise ConfigError(f"min_percentile is {self.min_percentile}; expected 0 to 100.")

    @property
    def narrows(self) -> bool:
        """Whether there is a condition that needs a database query."""
        return any(each is not None for each in (self.folder, self.taken_from, self.taken_to, self.min_px))

    def conditions(self) -> tuple[str, list[Any]]:
        """The filters as an SQL condition on the table `photos`, and its parameters."""
        parts, values = ["1"], list[Any]()
        if self.folder is not None:
            names = names_of(self.folder)
            parts.append("(" + " OR ".join(["path >= ? AND path < ?"] * len(names)) + ")")
            values += [bound for name in names for bound in path_range(name)]
        if self.taken_from is not None:
            parts.append("taken >= ?")
            values.append(self.taken_from)
        if self.taken_to is not None:
            parts.append("taken < ?")
            values.append(_last_of(self.taken_to))
        if self.min_px is not None:
            parts.append("MIN(width, height) >= ?")
            values.append(min(self.min_px, _MAX_PX))
        return " AND ".join(parts), values


def _last_of(date: str) -> str:
    """Text that sorts after all dates and times in this year, month or day."""
    return date + "~"


def _is_date(text: str) -> bool:
    """Whether the text is a valid year, month or day."""
    date_format = _DATE_FORMATS.get(len(text))
    try:
        return date_format is not None and bool(datetime.strptime(text, date_format))
    except ValueError:
        return False


def check_folder(store: Store, folder: str | os.PathLike[str]) -> None:
    """Raise DataError if the library contains no photos in a folder and its subfolders."""
    if any(store.has_photos_in(name) for name in names_of(folder)):
        return
    roots = [os.fsdecode(root) for root in store.roots()]
    more = f" and {len(roots) - _FOLDERS_SHOWN:,} more" if len(roots) > _FOLDERS_SHOWN else ""
    raise DataError(
        f"The library {store.path.parent} contains no photos from {os.fspath(folder)}. "
        f"Use one of its folders or a subfolder: {', '.join(roots[:_FOLDERS_SHOWN])}{more}."
    )


def rocchio(like: NDArray[np.float32], unlike: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vector `(D,)` in the direction of mean(like) - UNLIKE_WEIGHT * mean(unlike).

    Args:
        like: Unit vectors `(N, D)` with N at least 1.
        unlike: Unit vectors `(M, D)`.
    """
    vector = like.mean(axis=0, keepdims=True)
    if len(unlike):
        vector = vector - UNLIKE_WEIGHT * unlike.mean(axis=0, keepdims=True)
    return unit(vector).reshape(-1)


def query_vector(
    query: Query,
    embed: Callable[[Sequence[Any]], NDArray[np.float32]],
    vectors_by_id: Callable[[Sequence[int]], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Unit vector `(D,)` of a query.

    Args:
        query: Photos, vectors and ids.
        embed: Returns unit vectors `(N, D)` of photos. It is called only if the query contains photos.
        vectors_by_id: Returns unit vectors `(N, D)` of ids.

    Raises:
        ConfigError: A vector has the wrong length.
    """

    def vectors(examples: Sequence[Any], ids: Sequence[int]) -> NDArray[np.float32]:
        stored = vectors_by_id(ids)
        parts = [stored]
        if photos := [each for each in examples if not _is_vector(each)]:
            parts.append(embed(photos))
        for vector in filter(_is_vector, examples):
            if len(vector) != stored.shape[1]:
                raise ConfigError(f"The query has a vector of length {len(vector)}; expected {stored.shape[1]}.")
            parts.append(unit(np.asarray(vector, np.float32)[None]))
        return np.concatenate(parts)

    return rocchio(vectors(query.like, query.like_ids), vectors(query.unlike, query.unlike_ids))


def _is_vector(example: Any) -> bool:
    return isinstance(example, np.ndarray) and example.ndim == 1
