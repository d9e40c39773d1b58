"""The steps of a search and the way back. A step is what was searched with; it knows no Gradio and no library."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mvmr_zoo.search import Query

Sign = Literal["like", "unlike"]

MOST_STEPS = 30
"""Older steps are forgotten: a session stays small."""


@dataclass(frozen=True)
class Asked:
    """A photo that is searched with.

    Args:
        name: of its file.
        thumbnail: of it.
        ids: of the library's photos with just this content; none for a photo from elsewhere.
        vector: `(D,)` unit, of a photo from elsewhere.
    """

    name: str
    thumbnail: Path
    ids: tuple[int, ...] = ()
    vector: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Step:
    """Photos that hits are to be like, at least one, and others that they are not to be like."""

    like: tuple[Asked, ...]
    unlike: tuple[Asked, ...] = ()

    @property
    def name(self) -> str:
        """What it is called along the trail."""
        more, less = len(self.like) - 1, len(self.unlike)
        return self.like[0].name + (f" + {more}" if more else "") + (f" - {less}" if less else "")

    @property
    def photos(self) -> tuple[tuple[Sign, Asked], ...]:
        """All of them, in order, with their signs."""
        return (*(("like", each) for each in self.like), *(("unlike", each) for each in self.unlike))

    @property
    def query(self) -> Query:
        """For the library: no photo of it needs inference."""
        return Query(
            like=[each.vector for each in self.like if each.vector is not None],
            like_ids=[id_ for each in self.like for id_ in each.ids],
            unlike=[each.vector for each in self.unlike if each.vector is not None],
            unlike_ids=[id_ for each in self.unlike for id_ in each.ids],
        )

    def having(self, asked: Asked, sign: Sign) -> Step:
        """This step and one photo more; a photo that it has already changes its sign."""
        like = tuple(each for each in self.like if each != asked)
        unlike = tuple(each for each in self.unlike if each != asked)
        if sign == "like" or not like:
            return Step((*like, asked), unlike)
        return Step(like, (*unlike, asked))

    def without(self, position: int) -> Step | None:
        """This step less one of its `photos`; None where no photo to be like is left."""
        kept = [each for at, each in enumerate(self.photos) if at != position]
        like = tuple(asked for sign, asked in kept if sign == "like")
        return Step(like, tuple(asked for sign, asked in kept if sign == "unlike")) if like else None


@dataclass(frozen=True)
class Trail:
    """Steps, the oldest first, and where one stands among them."""

    steps: tuple[Step, ...] = ()
    at: int = -1

    @property
    def step(self) -> Step | None:
        """Where one stands; None at the very beginning."""
        return self.steps[self.at] if self.steps else None

    def going(self, step: Step) -> Trail:
        """A step further: what was ahead is forgotten."""
        steps = (*self.steps[: self.at + 1], step)[-MOST_STEPS:]
        return Trail(steps, len(steps) - 1)

    def back_to(self, at: int) -> Trail:
        """Standing at an earlier step, or a later one; those that are not there change nothing."""
        return replace(self, at=at) if 0 <= at < len(self.steps) else self
