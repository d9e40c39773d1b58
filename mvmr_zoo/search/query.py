"""What a search asks for: photos like some and unlike others, and which photos may answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo.errors import ConfigError
from mvmr_zoo.images import names_of
from mvmr_zoo.inference import unit
from mvmr_zoo.search.store import below

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNLIKE_WEIGHT = 0.5
"""Of the mean of what the hits must not resemble, beside the mean of what they must: Rocchio's rule (1971)."""

_MOST_PX = 2**31
_DATE_FORMS = {4: "%Y", 7: "%Y-%m", 10: "%Y-%m-%d"}


@dataclass(frozen=True, kw_only=True)
class Query:
    """Photos like these. A photo is a path, PIL image, array or tensor; an id is a photo's number in the library.

    A vector `(D,)` of the library's encoder, as `library.model.embed` gives, may stand for a photo.

    Args:
        like: photos.
        like_ids: photos of the library, which need no inference.
        unlike: photos that hits must not resemble.
        unlike_ids: the same, of the library.
    """

    like: Sequence[Any] = ()
    like_ids: Sequence[int] = ()
    unlike: Sequence[Any] = ()
    unlike_ids: Sequence[int] = ()

    def __post_init__(self) -> None:
        """Raise ConfigError where nothing is asked for."""
        if not len(self.like) and not self.like_ids:
            raise ConfigError("The query names no photo to look like. Give at least one, or an id of the library.")


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which photos may answer.

    Args:
        folder: those below it.
        taken_from: those taken on this day or later: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`; not those without a date.
        taken_to: those taken on this day or before; a month or a year is meant to its end.
        min_px: whose short side has at least so many pixels.
        min_percentile: whose score is above this percentile, 0 to 100, of scores of this library's photos at random.
    """

    folder: str | os.PathLike[str] | None = None
    taken_from: str | None = None
    taken_to: str | None = None
    min_px: int | None = None
    min_percentile: float | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for a date that is none, or a number out of range."""
        for name, date in (("taken_from", self.taken_from), ("taken_to", self.taken_to)):
            if date is not None and not _is_date(date):
                raise ConfigError(f"{name} is {date!r}; expected a day as YYYY-MM-DD, a month or a year.")
        if self.min_percentile is not None and not 0 <= self.min_percentile <= 100:
            raise ConfigError(f"min_percentile is {self.min_percentile}; expected 0 to 100.")

    @property
    def narrows(self) -> bool:
        """Whether the store must say which photos may answer."""
        return any(each is not None for each in (self.folder, self.taken_from, self.taken_to, self.min_px))

    def conditions(self) -> tuple[str, list[Any]]:
        """For the store: an SQL condition on `photos`, and its values."""
        parts, values = ["1"], list[Any]()
        if self.folder is not None:
            names = names_of(self.folder)
            parts.append("(" + " OR ".join(["path >= ? AND path < ?"] * len(names)) + ")")
            values += [bound for name in names for bound in below(name)]
        if self.taken_from is not None:
            parts.append("taken >= ?")
            values.append(self.taken_from)
        if self.taken_to is not None:
            parts.append("taken < ?")
            values.append(self.taken_to + "~")  # after every day and time that begins so
        if self.min_px is not None:
            parts.append("MIN(width, height) >= ?")
            values.append(min(self.min_px, _MOST_PX))
        return " AND ".join(parts), values


def _is_date(text: str) -> bool:
    """Whether text is a year, a month or a day that there is."""
    form = _DATE_FORMS.get(len(text))
    try:
        return form is not None and bool(datetime.strptime(text, form))
    except ValueError:
        return False


def query_vector(like: NDArray[np.float32], unlike: NDArray[np.float32]) -> NDArray[np.float32]:
    """`(D,)` of unit length: the mean of some vectors, less half the mean of others.

    Args:
        like: `(N, D)`, N at least 1, of unit length.
        unlike: `(M, D)`, of unit length.
    """
    vector = like.mean(axis=0, keepdims=True)
    if len(unlike):
        vector = vector - UNLIKE_WEIGHT * unlike.mean(axis=0, keepdims=True)
    return unit(vector).reshape(-1)


def asked_vector(
    query: Query,
    embed: Callable[[Sequence[Any]], NDArray[np.float32]],
    known: Callable[[Sequence[int]], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """`(D,)` unit vector of what a query asks for.

    Args:
        query: photos, vectors and ids.
        embed: unit vectors `(N, D)` of photos; asked only where there are some.
        known: unit vectors `(N, D)` of ids.

    Raises:
        ConfigError: a vector is of another length.
    """

    def vectors(asked: Sequence[Any], ids: Sequence[int]) -> NDArray[np.float32]:
        found = known(ids)
        parts = [found]
        if photos := [each for each in asked if not _is_vector(each)]:
            parts.append(embed(photos))
        for vector in filter(_is_vector, asked):
            if len(vector) != found.shape[1]:
                raise ConfigError(
                    f"The query has a vector of {len(vector)} numbers; the library's have {found.shape[1]}."
                )
            parts.append(unit(np.asarray(vector, np.float32)[None]))
        return np.concatenate(parts)

    return query_vector(vectors(query.like, query.like_ids), vectors(query.unlike, query.unlike_ids))


def _is_vector(asked: Any) -> bool:
    return isinstance(asked, np.ndarray) and asked.ndim == 1
