"""Finds copies of the same photo: exact copies by file hash, near copies by vector and thumbnail correlation.

Two photos are near duplicates if the cosine similarity of their vectors is at least `COSINE` and the correlation of
their 32 x 32 gray thumbnails is at least `CORRELATION`. Measured with the bundled encoder on Imagenette's validation
photos (benchmarks/duplicates.py): all copies with JPEG quality 40 or 15 % more brightness are found, 99.7 % of copies
at half size, and 49 % of copies with 3 % cropped off every edge. None of 1,124,250 pairs of different photos is
reported.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from PIL import Image

from mvmr_zoo._io import Progress
from mvmr_zoo.errors import ConfigError, ImageError
from mvmr_zoo.images import read_image
from mvmr_zoo.inference import unit
from mvmr_zoo.search.index import faiss_library

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mvmr_zoo.images import Stamp
    from mvmr_zoo.search.rows import PhotoRow

COSINE = 0.6
CORRELATION = 0.9

_THUMBNAIL_PX = 32
_ROWS_PER_BATCH = 64
_CACHED_THUMBNAILS = 4_096


@dataclass(frozen=True)
class Copy:
    """A copy of the best photo of a group.

    Args:
        id: Id of the copy in the library.
        path: Path of the copy.
        width: Width in pixels.
        height: Height in pixels.
        size: File size in bytes.
        kind: `exact` if the files are identical, otherwise `near`.
        cosine: Cosine similarity of the vectors of the copy and the best photo.
        correlation: Correlation of the thumbnails of the copy and the best photo.
    """

    id: int
    path: Path
    width: int
    height: int
    size: int
    kind: Literal["exact", "near"]
    cosine: float
    correlation: float


@dataclass(frozen=True)
class Group:
    """Copies of one photo.

    Args:
        id: Id of the best photo: the one with the most pixels, then the largest file, then the first path.
        path: Path of the best photo.
        width: Width in pixels.
        height: Height in pixels.
        size: File size in bytes.
        copies: The other photos, most similar first.
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
    correlation: float = CORRELATION,
    progress: Progress = lambda done, total: None,
) -> list[Group]:
    """Find groups of copies. Groups whose copies take the most bytes come first.

    Photos whose files do not exist are ignored. Each photo is in at most one group. Each copy in a group is a copy of
    the best photo of that group, not only of another copy.

    Args:
        photos: Photos by id.
        near: See `PhotoLibrary.duplicates`.
        cosine: See `PhotoLibrary.duplicates`.
        correlation: See `PhotoLibrary.duplicates`.
        progress: See `PhotoLibrary.duplicates`.

    Raises:
        ConfigError: A threshold is out of range.
    """
    for name, value in (("cosine", cosine), ("correlation", correlation)):
        if not 0 < value <= 1:
            raise ConfigError(f"{name} is {value}; expected a number above 0 and at most 1.")
    present = {id_: photo for id_, photo in photos.items() if os.path.exists(photo.path)}
    ranked = sorted(present, key=lambda id_: photo_rank(present[id_]))
    first: dict[bytes, int] = {}
    copies: dict[int, list[Copy]] = defaultdict(list)
    for id_ in ranked:
        best = first.setdefault(present[id_].sha256, id_)
        if best != id_:
            copies[best].append(_copy(id_, present[id_], "exact", 1.0, 1.0))
    if near:
        distinct = [id_ for id_ in ranked if first[present[id_].sha256] == id_]
        for best, copy in _near(distinct, present, cosine, correlation, progress):
            for same in copies.pop(copy.id, []):
                copies[best].append(replace(same, kind="near", cosine=copy.cosine, correlation=copy.correlation))
            copies[best].append(copy)
    groups = [_group(id_, present[id_], copies[id_]) for id_ in ranked if copies.get(id_)]
    return sorted(groups, key=lambda group: -sum(copy.size for copy in group.copies))


def is_copy(photo: PhotoRow, other: PhotoRow) -> bool:
    """Whether two photos are exact or near duplicates, by the default thresholds."""
    if photo.sha256 == other.sha256:
        return True
    vectors = unit(np.stack([photo.vector, other.vector]).astype(np.float32))
    return bool(vectors[0] @ vectors[1] >= COSINE) and _thumbnail_correlation(photo, other) >= CORRELATION


def _near(
    ranked: Sequence[int], photos: Mapping[int, PhotoRow], cosine: float, correlation: float, progress: Progress
) -> Iterable[tuple[int, Copy]]:
    """Yield the id of a best photo with each of its near copies. `ranked` holds ids, best photo first."""
    if len(ranked) < 2:
        return
    grouped = np.zeros(len(ranked), bool)
    for row, others, scores in _pairs(
        unit(np.stack([photos[id_].vector for id_ in ranked]).astype(np.float32)), cosine, grouped
    ):
        best = photos[ranked[row]]
        for other, similarity in zip(others.tolist(), scores.tolist(), strict=True):
            found = _thumbnail_correlation(best, photos[ranked[other]])
            if found >= correlation:
                grouped[other] = True
                yield ranked[row], _copy(ranked[other], photos[ranked[other]], "near", similarity, found)
        progress(row + 1, len(ranked))
    progress(len(ranked), len(ranked))


class _Pairs(NamedTuple):
    """A row, the later rows `(M,)` whose cosine with it reaches the threshold, and those cosines, highest first."""

    row: int
    others: NDArray[np.int64]
    cosines: NDArray[np.float32]


def _pairs(vectors: NDArray[np.float32], cosine: float, grouped: NDArray[np.bool_]) -> Iterator[_Pairs]:
    """Yield the pairs of each row that is not grouped yet. Only the pairs of one batch of rows are in memory.

    Args:
        vectors: Unit vectors `(N, D)`.
        cosine: Smallest cosine similarity of a pair.
        grouped: Rows `(N,)` that are already in a group and need no pairs. The caller may change it during iteration.
    """
    index = faiss_library().IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    for start in range(0, len(vectors), _ROWS_PER_BATCH):
        batch = start + np.flatnonzero(~grouped[start : start + _ROWS_PER_BATCH])
        if not len(batch):
            continue
        limits, scores, rows = index.range_search(vectors[batch], cosine)
        for row, (first, last) in zip(batch.tolist(), itertools.pairwise(limits), strict=True):
            others, cosines = rows[first:last], scores[first:last]
            kept = (others > row) & ~grouped[others]
            if kept.any() and not grouped[row]:
                order = np.argsort(-cosines[kept], kind="stable")
                yield _Pairs(row, others[kept][order], cosines[kept][order])


def _thumbnail_correlation(photo: PhotoRow, other: PhotoRow) -> float:
    """Correlation of the thumbnails of two photos. 0 if one of them cannot be read."""
    first, second = _thumbnail(os.fsdecode(photo.path), photo.stamp), _thumbnail(os.fsdecode(other.path), other.stamp)
    return float(first @ second) if first is not None and second is not None else 0.0


@functools.lru_cache(maxsize=_CACHED_THUMBNAILS)
def _thumbnail(path: str, stamp: Stamp) -> NDArray[np.float32] | None:
    """Gray thumbnail `(1024,)` with zero mean and unit length. None if the photo cannot be read.

    Args:
        path: Path of the photo.
        stamp: Size and mtime of the file. As part of the cache key, it causes changed files to be read again.
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
    """Sort key that puts the best copy first: most pixels, then largest file, then first path."""
    return -photo.width * photo.height, -photo.stamp.size, photo.path


def _copy(id_: int, photo: PhotoRow, kind: Literal["exact", "near"], cosine: float, correlation: float) -> Copy:
    path = Path(os.fsdecode(photo.path))
    return Copy(id_, path, photo.width, photo.height, photo.stamp.size, kind, cosine, correlation)


def _group(id_: int, photo: PhotoRow, copies: list[Copy]) -> Group:
    ordered = tuple(sorted(copies, key=lambda copy: -copy.cosine))
    return Group(id_, Path(os.fsdecode(photo.path)), photo.width, photo.height, photo.stamp.size, ordered)
