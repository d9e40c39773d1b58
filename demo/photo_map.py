"""Two-dimensional map of a library, drawn as a single image so that it stays fast with many points."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image, ImageDraw

from mvmr_zoo._io import counted
from mvmr_zoo.errors import ConfigError, MissingDependencyError, printable
from mvmr_zoo.inference import unit
from mvmr_zoo.search.index import faiss_library

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mvmr_zoo.search import PhotoRow

Projection = Literal["pca", "umap"]
Colors = Literal["folder", "cluster"]

MAX_POINTS = 20_000
MIN_POINTS = 3
SIZE_PX = 900

PALETTE = (
    "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#b07aa1",
    "#edc948", "#ff9da7", "#9c755f", "#86bc58", "#d37295", "#8c8c8c",
)  # fmt: skip
"""Twelve distinguishable colors for light and dark backgrounds. The last one is for all other groups."""

_MARGIN = 0.04
_CLUSTERS = len(PALETTE) - 1
_KMEANS_ITERATIONS = 20


@dataclass(frozen=True)
class PhotoMap:
    """Photos as points.

    Args:
        ids: Ids of the photos `(N,)`.
        xy: Coordinates `(N, 2)` in [0, 1]; y points down.
        groups: Group index of each point `(N,)`.
        names: Names of the groups, largest group first.
        total: Number of photos in the library. If it exceeds `MAX_POINTS`, the points are a random sample.
    """

    ids: NDArray[np.int64]
    xy: NDArray[np.float64]
    groups: NDArray[np.int64]
    names: tuple[str, ...]
    total: int


@dataclass(frozen=True)
class View:
    """Visible square of the map: its center and zoom factor."""

    x: float = 0.5
    y: float = 0.5
    zoom: float = 1.0

    def pixels(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the pixel coordinates of points `(N, 2)`."""
        coordinates: NDArray[np.float64] = ((xy - (self.x, self.y)) * self.zoom + 0.5) * SIZE_PX
        return coordinates


def sample_ids(ids: Sequence[int]) -> list[int]:
    """Return all ids, or a sorted random sample of `MAX_POINTS` ids."""
    if len(ids) <= MAX_POINTS:
        return list(ids)
    chosen = np.random.default_rng(0).choice(len(ids), MAX_POINTS, replace=False)
    return [ids[each] for each in np.sort(chosen).tolist()]


def make_map(rows: Mapping[int, PhotoRow], projection: Projection, colors: Colors, *, total: int) -> PhotoMap:
    """Create the map of a library.

    Args:
        rows: Photos by id.
        projection: Method that projects vectors to two dimensions.
        colors: Property that determines the color of a point.
        total: Number of photos in the library, of which `rows` may be a sample.

    Raises:
        ConfigError: There are fewer than `MIN_POINTS` photos.
        MissingDependencyError: UMAP is not installed.
    """
    if len(rows) < MIN_POINTS:
        raise ConfigError(
            f"The library has {counted(len(rows), 'photo')}, but a map needs at least {MIN_POINTS}. "
            "Index a folder first."
        )
    ids = np.fromiter(rows, np.int64)
    vectors = unit(np.stack([rows[id_].vector for id_ in ids.tolist()]).astype(np.float32))
    points = _umap(vectors) if projection == "umap" else principal_components(vectors)
    labels = _clusters(vectors) if colors == "cluster" else [_folder(rows[id_]) for id_ in ids.tolist()]
    groups, names = _group(labels)
    return PhotoMap(ids, _scale_to_square(points), groups, names, total)


def principal_components(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Project vectors `(N, D)` onto their first two principal components and return `(N, 2)`."""
    centered = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    _, directions = np.linalg.eigh(centered.T @ centered)
    projected: NDArray[np.float64] = centered @ directions[:, :-3:-1]
    return projected


def has_umap() -> bool:
    """Return whether umap-learn is installed."""
    return find_spec("umap") is not None


def draw_map(photo_map: PhotoMap, view: View, marked: int | None = None) -> Image.Image:
    """Draw the map as an RGBA image with a transparent background, for light and dark pages.

    Args:
        photo_map: Map to draw.
        view: Visible part of the map.
        marked: Id of the photo to mark with a ring; None marks no photo.
    """
    picture = Image.new("RGBA", (2 * SIZE_PX, 2 * SIZE_PX))
    draw = ImageDraw.Draw(picture)
    radius = 2 * float(np.clip(90 / np.sqrt(len(photo_map.ids)), 1.5, 6)) * min(view.zoom, 4) ** 0.5
    positions = 2 * view.pixels(photo_map.xy)  # drawn at twice the size for antialiasing
    visible = np.flatnonzero(((positions > -radius) & (positions < 2 * SIZE_PX + radius)).all(axis=1))
    for point in np.random.default_rng(0).permutation(visible).tolist():  # so that no group covers the others
        x, y = positions[point]
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=PALETTE[photo_map.groups[point]])
    for point in np.flatnonzero(photo_map.ids == marked).tolist():
        x, y = positions[point]
        for ring, color in ((radius + 14, "#ffffff"), (radius + 9, "#000000")):
            draw.ellipse((x - ring, y - ring, x + ring, y + ring), outline=color, width=5)
    return picture.resize((SIZE_PX, SIZE_PX), Image.Resampling.BOX)


def nearest_point(photo_map: PhotoMap, view: View, x_px: float, y_px: float) -> int:
    """Return the index of the point that is nearest to a pixel."""
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
    """Return the cluster name of each vector, from spherical k-means."""
    count = min(_CLUSTERS, len(vectors))
    kmeans = faiss_library().Kmeans(
        vectors.shape[1], count, niter=_KMEANS_ITERATIONS, spherical=True, seed=0, min_points_per_centroid=1
    )
    kmeans.train(vectors)
    _, nearest = kmeans.index.search(vectors, 1)
    return [f"cluster {number + 1}" for number in nearest[:, 0].tolist()]


def _folder(row: PhotoRow) -> str:
    return printable(Path(os.fsdecode(row.path)).parent.name or os.sep)


def _group(labels: list[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return a group index per point and the group names. The smallest groups are merged if colors run out."""
    names, numbers, counts = np.unique(np.asarray(labels, dtype=object), return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    last = len(PALETTE) - 1
    kept = [str(names[each]) for each in order[: last + 1]]
    if len(order) > len(PALETTE):
        kept[last] = f"{len(order) - last} others"
    return np.minimum(rank[numbers], last), tuple(kept)


def _scale_to_square(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale both axes equally so that 99.8 % of the points are inside the margins. Outliers are moved to the edge."""
    low, high = np.quantile(points, [0.001, 0.999], axis=0)
    span = float((high - low).max()) or 1.0
    scaled = (points - (low + high) / 2) / span * (1 - 2 * _MARGIN) + 0.5
    return np.asarray(np.clip(scaled, 0.01, 0.99), np.float64)
