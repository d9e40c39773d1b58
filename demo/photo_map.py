"""The library as points in two dimensions, drawn as one picture, which is smooth however many they are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image, ImageDraw

from mvmr_zoo.errors import ConfigError, MissingDependencyError, printable
from mvmr_zoo.inference import unit
from mvmr_zoo.search.index import faiss_library

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mvmr_zoo.search import PhotoRow

Projection = Literal["pca", "umap"]
Colors = Literal["folder", "cluster"]

MOST_POINTS = 20_000
FEWEST_POINTS = 3
SIZE_PX = 900

PALETTE = (
    "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#b07aa1",
    "#edc948", "#ff9da7", "#9c755f", "#86bc58", "#d37295", "#8c8c8c",
)  # fmt: skip
"""Twelve colors that can be told apart on light and on dark; the last is for everything else."""

_MARGIN = 0.04
_CLUSTERS = len(PALETTE) - 1
_CLUSTER_ROUNDS = 20


@dataclass(frozen=True)
class PhotoMap:
    """Points of photos.

    Args:
        ids: `(N,)` of the photos.
        xy: `(N, 2)` in [0, 1], y downwards.
        groups: `(N,)` of each point: which of `names`.
        names: of the groups, the largest first.
        total: photos of the library; above `MOST_POINTS` only as many, drawn at random, are points.
    """

    ids: NDArray[np.int64]
    xy: NDArray[np.float64]
    groups: NDArray[np.int64]
    names: tuple[str, ...]
    total: int


@dataclass(frozen=True)
class View:
    """The square of the map that is looked at: its center, and how many times it is enlarged."""

    x: float = 0.5
    y: float = 0.5
    zoom: float = 1.0

    def pixels(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where points `(N, 2)` lie in the picture, in pixels."""
        found: NDArray[np.float64] = ((xy - (self.x, self.y)) * self.zoom + 0.5) * SIZE_PX
        return found


def some_points(ids: Sequence[int]) -> list[int]:
    """All ids, or as many as a map has points, drawn at random, in order."""
    if len(ids) <= MOST_POINTS:
        return list(ids)
    chosen = np.random.default_rng(0).choice(len(ids), MOST_POINTS, replace=False)
    return [ids[each] for each in np.sort(chosen).tolist()]


def make_map(rows: Mapping[int, PhotoRow], projection: Projection, colors: Colors, *, total: int) -> PhotoMap:
    """The map of a library's photos.

    Args:
        rows: photos by id.
        projection: how vectors become points.
        colors: what tells them apart.
        total: photos of the library, some of which `rows` are.

    Raises:
        ConfigError: there are fewer photos than make a map.
        MissingDependencyError: UMAP is not installed.
    """
    if len(rows) < FEWEST_POINTS:
        raise ConfigError(f"The library has {len(rows)} photos; a map needs {FEWEST_POINTS}. Take in a folder first.")
    ids = np.fromiter(rows, np.int64)
    vectors = unit(np.stack([rows[id_].vector for id_ in ids.tolist()]).astype(np.float32))
    points = _umap(vectors) if projection == "umap" else principal_components(vectors)
    labels = _clusters(vectors) if colors == "cluster" else [_folder(rows[id_]) for id_ in ids.tolist()]
    groups, names = _largest(labels)
    return PhotoMap(ids, _into_square(points), groups, names, total)


def principal_components(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """`(N, 2)`: the vectors `(N, D)` along the two directions in which they vary most."""
    centerd = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    _, directions = np.linalg.eigh(centerd.T @ centerd)
    found: NDArray[np.float64] = centerd @ directions[:, :-3:-1]
    return found


def has_umap() -> bool:
    """Whether umap-learn is installed."""
    return find_spec("umap") is not None


def draw_map(photo_map: PhotoMap, view: View, marked: int | None = None) -> Image.Image:
    """The map as an RGBA picture without background, so that it suits a light page and a dark one.

    Args:
        photo_map: the points.
        view: what is looked at.
        marked: id of the photo to put a ring around.
    """
    picture = Image.new("RGBA", (2 * SIZE_PX, 2 * SIZE_PX))
    draw = ImageDraw.Draw(picture)
    radius = 2 * float(np.clip(90 / np.sqrt(len(photo_map.ids)), 1.5, 6)) * min(view.zoom, 4) ** 0.5
    at = 2 * view.pixels(photo_map.xy)
    seen = np.flatnonzero(((at > -radius) & (at < 2 * SIZE_PX + radius)).all(axis=1))
    for point in np.random.default_rng(0).permutation(seen).tolist():  # so that no group lies on top of all others
        x, y = at[point]
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=PALETTE[photo_map.groups[point]])
    for point in np.flatnonzero(photo_map.ids == marked).tolist():
        x, y = at[point]
        for ring, color in ((radius + 14, "#ffffff"), (radius + 9, "#000000")):
            draw.ellipse((x - ring, y - ring, x + ring, y + ring), outline=color, width=5)
    return picture.resize((SIZE_PX, SIZE_PX), Image.Resampling.BOX)


def nearest_point(photo_map: PhotoMap, view: View, x_px: float, y_px: float) -> int:
    """Position among the points of the one nearest to a place in the picture."""
    return int(np.argmin(((view.pixels(photo_map.xy) - (x_px, y_px)) ** 2).sum(axis=1)))


def _umap(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    try:
        import umap
    except ImportError:
        raise MissingDependencyError("umap-learn", "umap", "draw the map with UMAP") from None
    neighbors = min(15, len(vectors) - 1)
    points: Any = umap.UMAP(n_neighbors=neighbors, metric="cosine", random_state=0, n_jobs=1).fit_transform(vectors)
    return np.asarray(points, np.float64)


def _clusters(vectors: NDArray[np.float32]) -> list[str]:
    """Which cluster each vector is of, by spherical k-means."""
    count = min(_CLUSTERS, len(vectors))
    means = faiss_library().Kmeans(
        vectors.shape[1], count, niter=_CLUSTER_ROUNDS, spherical=True, seed=0, min_points_per_centroid=1
    )
    means.train(vectors)
    _, nearest = means.index.search(vectors, 1)
    return [f"cluster {number + 1}" for number in nearest[:, 0].tolist()]


def _folder(row: PhotoRow) -> str:
    return printable(Path(os.fsdecode(row.path)).parent.name or os.sep)


def _largest(labels: list[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """A number a point and a name a number; the smallest groups are one where there are more than colors."""
    names, numbers, counts = np.unique(np.asarray(labels, dtype=object), return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    last = len(PALETTE) - 1
    kept = [str(names[each]) for each in order[: last + 1]]
    if len(order) > len(PALETTE):
        kept[last] = f"{len(order) - last} others"
    return np.minimum(rank[numbers], last), tuple(kept)


def _into_square(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Both axes on one scale, the middle 99.8 % of the points inside the margins, the others at the edge."""
    low, high = np.quantile(points, [0.001, 0.999], axis=0)
    span = float((high - low).max()) or 1.0
    centerd = (points - (low + high) / 2) / span * (1 - 2 * _MARGIN) + 0.5
    return np.asarray(np.clip(centerd, 0.01, 0.99), np.float64)
