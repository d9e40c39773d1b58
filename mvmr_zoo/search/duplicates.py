"""Copies of the same photo: exact ones by the hash of their files, near ones by vector and then by their pixels.

Two photos are near duplicates when the cosine of their vectors reaches `COSINE` and the correlation of their 32 x 32
gray thumbnails reaches `LIKENESS`. Measured with the bundled encoder on Imagenette's validation photos: JPEG quality 40
and brighter by 15 % are all found, half the size 98 %, 3 % cut off every edge 49 %; of 1,124,250 pairs of different
photos, none (benchmarks/duplicates.py).
"""

from __future__ import annotations

import functools
import itertools
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from PIL import Image

from mvmr_zoo.errors import ConfigError, ImageError
from mvmr_zoo.images import read_image
from mvmr_zoo.inference import unit
from mvmr_zoo.search.index import faiss_library

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mvmr_zoo.images import Stamp
    from mvmr_zoo.search.rows import PhotoRow

COSINE = 0.7
LIKENESS = 0.9

_THUMBNAIL_PX = 32
_ROWS_AT_ONCE = 64
_THUMBNAILS_KEPT = 4_096

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Copy:
    """A photo that shows what the best one of its group shows.

    Args:
        id: its number in the library.
        path: of its file.
        width: in pixels.
        height: in pixels.
        size: of its file, in bytes.
        kind: `exact` where the files are equal, else `near`.
        cosine: of its vector and the best one's.
        likeness: correlation of its thumbnail and the best one's.
    """

    id: int
    path: Path
    width: int
    height: int
    size: int
    kind: Literal["exact", "near"]
    cosine: float
    likeness: float


@dataclass(frozen=True)
class Group:
    """Copies of one photo.

    Args:
        id: of the best one, which has most pixels, then most bytes, then the first path.
        path: of its file.
        width: in pixels.
        height: in pixels.
        size: of its file, in bytes.
        copies: the others, the nearest first.
    """

    id: int
    path: Path
    width: int
    height: int
    size: int
    copies: tuple[Copy, ...]


def find_duplicates(
    photos: Mapping[int, PhotoRow],
    *,
    near: bool = True,
    cosine: float = COSINE,
    likeness: float = LIKENESS,
    progress: Progress = lambda done, total: None,
) -> list[Group]:
    """Groups of copies among photos, those with most bytes in copies first. Photos whose files are gone are left out.

    Each photo is in one group at most, and every copy of a group is one of its best photo, not of another copy.

    Args:
        photos: by id.
        near: look for near ones too; exact ones are always found.
        cosine: least cosine of near ones, in (0, 1].
        likeness: least correlation of near ones' thumbnails, in (0, 1].
        progress: told how many photos are compared with the others, of how many.

    Raises:
        ConfigError: a threshold is out of range.
    """
    for name, value in (("cosine", cosine), ("likeness", likeness)):
        if not 0 < value <= 1:
            raise ConfigError(f"duplicates got {name} = {value}; expected a number above 0, and 1 at most.")
    here = {id_: photo for id_, photo in photos.items() if os.path.exists(photo.path)}
    ranked = sorted(here, key=lambda id_: photo_rank(here[id_]))
    first: dict[bytes, int] = {}
    copies: dict[int, list[Copy]] = defaultdict(list)
    for id_ in ranked:
        best = first.setdefault(here[id_].content, id_)
        if best != id_:
            copies[best].append(_copy(id_, here[id_], "exact", 1.0, 1.0))
    if near:
        leaders = [id_ for id_ in ranked if first[here[id_].content] == id_]
        for best, copy in _near(leaders, here, cosine, likeness, progress):
            for same in copies.pop(copy.id, []):
                copies[best].append(replace(same, kind="near", cosine=copy.cosine, likeness=copy.likeness))
            copies[best].append(copy)
    groups = [_group(id_, here[id_], copies[id_]) for id_ in ranked if copies.get(id_)]
    return sorted(groups, key=lambda group: -sum(copy.size for copy in group.copies))


def is_copy(photo: PhotoRow, other: PhotoRow) -> bool:
    """Whether two photos are exact or near duplicates, by the thresholds above."""
    if photo.content == other.content:
        return True
    vectors = unit(np.stack([photo.vector, other.vector]).astype(np.float32))
    return bool(vectors[0] @ vectors[1] >= COSINE) and _likeness(photo, other) >= LIKENESS


def _near(
    ranked: Sequence[int], photos: Mapping[int, PhotoRow], cosine: float, likeness: float, progress: Progress
) -> Iterable[tuple[int, Copy]]:
    """Every near copy with the best photo it is one of; `ranked` has the best first."""
    if len(ranked) < 2:
        return
    taken = np.zeros(len(ranked), bool)
    for row, others, scores in _pairs(
        unit(np.stack([photos[id_].vector for id_ in ranked]).astype(np.float32)), cosine, taken
    ):
        best = photos[ranked[row]]
        for other, similar in zip(others.tolist(), scores.tolist(), strict=True):
            alike = _likeness(best, photos[ranked[other]])
            if alike >= likeness:
                taken[other] = True
                yield ranked[row], _copy(ranked[other], photos[ranked[other]], "near", similar, alike)
        progress(row + 1, len(ranked))
    progress(len(ranked), len(ranked))


class _Pairs(NamedTuple):
    """A row, later rows `(M,)` whose cosine with it reaches the threshold, and those cosines, the highest first."""

    row: int
    others: NDArray[np.int64]
    cosines: NDArray[np.float32]


def _pairs(vectors: NDArray[np.float32], cosine: float, taken: NDArray[np.bool_]) -> Iterator[_Pairs]:
    """The pairs of each row that is not taken, and has some; a few rows' pairs are held at once.

    Args:
        vectors: `(N, D)` unit vectors.
        cosine: the threshold.
        taken: `(N,)` rows that need no pairs any more; may change meanwhile.
    """
    index = faiss_library().IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        asked = start + np.flatnonzero(~taken[start : start + _ROWS_AT_ONCE])
        if not len(asked):
            continue
        limits, scores, rows = index.range_search(vectors[asked], cosine)
        for row, (first, last) in zip(asked.tolist(), itertools.pairwise(limits), strict=True):
            others, cosines = rows[first:last], scores[first:last]
            left = (others > row) & ~taken[others]
            if left.any() and not taken[row]:
                order = np.argsort(-cosines[left], kind="stable")
                yield _Pairs(row, others[left][order], cosines[left][order])


def _likeness(photo: PhotoRow, other: PhotoRow) -> float:
    """Correlation of two photos' thumbnails; 0 where one cannot be read any more."""
    mine, its = _thumbnail(os.fsdecode(photo.path), photo.stamp), _thumbnail(os.fsdecode(other.path), other.stamp)
    return float(mine @ its) if mine is not None and its is not None else 0.0


@functools.lru_cache(maxsize=_THUMBNAILS_KEPT)
def _thumbnail(path: str, stamp: Stamp) -> NDArray[np.float32] | None:
    """Gray, `(1024,)`, zero mean and unit length; None where the photo cannot be read any more.

    Args:
        path: of the photo.
        stamp: of its file, so that one that changed is read again.
    """
    try:
        image = read_image(path, min_px=_THUMBNAIL_PX)
    except ImageError:
        return None
    small = image.convert("L").resize((_THUMBNAIL_PX, _THUMBNAIL_PX), Image.Resampling.BOX)
    pixels = np.asarray(small, np.float32).ravel()
    thumbnail: NDArray[np.float32] = unit((pixels - pixels.mean())[None])[0]
    return thumbnail


def photo_rank(photo: PhotoRow) -> tuple[int, int, bytes]:
    """Lowest for the best of some copies: most pixels, then most bytes, then the first path."""
    return -photo.width * photo.height, -photo.stamp.size, photo.path


def _copy(id_: int, photo: PhotoRow, kind: Literal["exact", "near"], cosine: float, likeness: float) -> Copy:
    path = Path(os.fsdecode(photo.path))
    return Copy(id_, path, photo.width, photo.height, photo.stamp.size, kind, cosine, likeness)


def _group(id_: int, photo: PhotoRow, copies: list[Copy]) -> Group:
    ordered = tuple(sorted(copies, key=lambda copy: -copy.cosine))
    return Group(id_, Path(os.fsdecode(photo.path)), photo.width, photo.height, photo.stamp.size, ordered)
