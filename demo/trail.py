"""Search history of a session. Does not depend on Gradio or on a library."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mvmr_zoo.search import Query

Sign = Literal["like", "unlike"]

MAX_STEPS = 30
"""Older steps are dropped to limit the size of a session."""


@dataclass(frozen=True)
class QueryPhoto:
    """A query photo.

    Args:
        name: File name.
        thumbnail: Thumbnail file.
        ids: Ids of the library photos with the same content; empty for a photo that is not in the library.
        vector: Unit vector `(D,)` of a photo that is not in the library; None otherwise.
    """

    name: str
    thumbnail: Path
    ids: tuple[int, ...] = ()
    vector: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Step:
    """A search: at least one photo that hits should be similar to, and photos that they should differ from."""

    like: tuple[QueryPhoto, ...]
    unlike: tuple[QueryPhoto, ...] = ()

    @property
    def name(self) -> str:
        """Display name in the search history."""
        more, less = len(self.like) - 1, len(self.unlike)
        return self.like[0].name + (f" + {more}" if more else "") + (f" - {less}" if less else "")

    @property
    def photos(self) -> tuple[tuple[Sign, QueryPhoto], ...]:
        """All query photos in order, with their signs."""
        return (*(("like", each) for each in self.like), *(("unlike", each) for each in self.unlike))

    @property
    def query(self) -> Query:
        """Query for the library. It needs no inference, because all vectors are known."""
        return Query(
            like=[each.vector for each in self.like if each.vector is not None],
            like_ids=[id_ for each in self.like for id_ in each.ids],
            unlike=[each.vector for each in self.unlike if each.vector is not None],
            unlike_ids=[id_ for each in self.unlike for id_ in each.ids],
        )

    def with_photo(self, photo: QueryPhoto, sign: Sign) -> Step:
        """Return this step with another photo. If the photo is already part of the step, its sign is changed."""
        like = tuple(each for each in self.like if each != photo)
        unlike = tuple(each for each in self.unlike if each != photo)
        if sign == "like" or not like:
            return Step((*like, photo), unlike)
        return Step(like, (*unlike, photo))

    def without_photo(self, position: int) -> Step | None:
        """Return this step without the photo at a position of `photos`; None if no photo in `like` remains."""
        remaining = [each for index, each in enumerate(self.photos) if index != position]
        like = tuple(photo for sign, photo in remaining if sign == "like")
        return Step(like, tuple(photo for sign, photo in remaining if sign == "unlike")) if like else None


@dataclass(frozen=True)
class Trail:
    """Search history: steps, oldest first, and the position of the current step."""

    steps: tuple[Step, ...] = ()
    position: int = -1

    @property
    def step(self) -> Step | None:
        """Current step; None before the first search."""
        return self.steps[self.position] if self.steps else None

    def append(self, step: Step) -> Trail:
        """Return the history with a new step after the current one. Later steps are dropped."""
        steps = (*self.steps[: self.position + 1], step)[-MAX_STEPS:]
        return Trail(steps, len(steps) - 1)

    def go_to(self, position: int) -> Trail:
        """Return the history at another position, or unchanged if the position does not exist."""
        return replace(self, position=position) if 0 <= position < len(self.steps) else self
