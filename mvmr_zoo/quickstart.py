"""The quickstart: index and search sample photos from installed packages, and measure the results."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mvmr_zoo._io import Progress
from mvmr_zoo.datasets import make_samples, photograph_of, write_halves
from mvmr_zoo.errors import ConfigError, DataError
from mvmr_zoo.evaluate import raw_pixels
from mvmr_zoo.images import SUFFIXES
from mvmr_zoo.inference import unit
from mvmr_zoo.search import PhotoLibrary, save_sheet

SHEET_QUERIES = 8
_MARK = ".made-by-mvmr-quickstart"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Recall:
    """Fractions of queries with a correct hit, in [0, 1].

    Args:
        at_1: The first hit is another view of the same photograph.
        at_5: One of the first five hits is another view of the same photograph.
        halves: The first hit for one half of a photograph is its other half.
        groups: The first hit for a photo of the user's folder is in the same subfolder. None without such a folder.
    """

    at_1: float
    at_5: float
    halves: float
    groups: float | None = None


@dataclass(frozen=True, kw_only=True)
class QuickstartReport:
    """The result of the quickstart.

    Args:
        photos: Number of indexed photos.
        queries: Number of query photos.
        photographs: Number of different photographs among the photos.
        grouped: Number of photos of the user's folder.
        model: Name of the encoder.
        recall: Recall of the encoder.
        pixels: Recall of raw 16 x 16 pixels, for comparison.
        seconds: Duration of each step, by name.
        library: Folder of the new library.
        query: A query photo that is not in the library.
        sheet: File of the contact sheet.
    """

    photos: int
    queries: int
    photographs: int
    grouped: int
    model: str
    recall: Recall
    pixels: Recall
    seconds: dict[str, float]
    library: Path
    query: Path
    sheet: Path


def quickstart(
    folder: Path, *, photos: Path | None = None, progress: Progress = lambda done, total: None
) -> QuickstartReport:
    """Create sample photos, index them, and search with views that are not indexed.

    Args:
        folder: Output folder. Files of an earlier quickstart are replaced.
        photos: Folder with one subfolder per subject and at least two photos in each. Each photo is a query for all
            others.
        progress: Receives the number of indexed photos and the total.

    Raises:
        ConfigError: The folder has files that were not written by a quickstart.
        DataError: `photos` has fewer than two such subfolders.
        ImageError: A photo of the user's folder cannot be read.
    """
    groups = [] if photos is None else _groups(photos)
    _make_room(folder)
    clock = _Clock()
    samples = clock("make the photos", lambda: make_samples(folder / "photos"))
    queries = sorted(samples.queries.iterdir())
    with PhotoLibrary(folder / "library") as library:
        model = clock("load the model", lambda: library.model)
        added = clock("index them", lambda: library.add([samples.library], progress=progress))
        hits = clock("search", lambda: [library.search(query, 5) for query in queries])
        found = [[hit.path for hit in each] for each in hits]
        halves = write_halves(folder / "photos" / "halves")
        vectors = clock("compare halves", lambda: [model.embed([pair[side] for pair in halves]) for side in (0, 1)])
        same_group = None
        if groups:
            own = clock("compare your photos", lambda: model.embed([path for path, _ in groups]))
            same_group = _same_group(own, groups)
        recall = Recall(*_view_recall(queries, found), _other_half(*vectors), same_group)
        pixels = clock(
            "search raw pixels", lambda: _pixel_recall(sorted(samples.library.iterdir()), queries, halves, groups)
        )
        sheet = folder / "sheet.png"
        shown = list(zip(queries, hits, strict=True))[:: max(1, len(queries) // SHEET_QUERIES)][:SHEET_QUERIES]
        clock("write the contact sheet", lambda: save_sheet(sheet, shown))
    return QuickstartReport(
        photos=added.total,
        queries=len(queries),
        photographs=samples.photographs,
        grouped=len(groups),
        model=model.card.name,
        recall=recall,
        pixels=pixels,
        seconds=clock.seconds,
        library=library.folder,
        query=queries[0],
        sheet=sheet,
    )


def _make_room(folder: Path) -> None:
    mark = folder / _MARK
    if not mark.exists() and folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} contains files that no quickstart made. Choose another --folder.")
    for made in ("photos", "library"):
        shutil.rmtree(folder / made, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()


class _Clock:
    """Runs steps and notes how long each took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, step: Callable[[], _T]) -> _T:
        began = time.perf_counter()
        result = step()
        self.seconds[name] = time.perf_counter() - began
        return result


def _view_recall(queries: list[Path], hits: list[list[Path]]) -> tuple[float, float]:
    right = np.array(
        [
            [photograph_of(hit) == photograph_of(query) for hit in found]
            for query, found in zip(queries, hits, strict=True)
        ]
    )
    return float(right[:, 0].mean()), float(right.any(axis=1).mean())


def _other_half(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """The share of first halves whose most similar second half is their own. Both are `(N, D)`."""
    return float((np.argmax(first @ second.T, axis=1) == np.arange(len(first))).mean())


def _groups(folder: Path) -> list[tuple[Path, str]]:
    """Every photo of a subfolder that holds at least two, with the name of the subfolder."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder.")
    found: list[tuple[Path, str]] = []
    subfolders = sorted(each for each in folder.iterdir() if each.is_dir())
    for subfolder in subfolders:
        photos = [each for each in sorted(subfolder.iterdir()) if each.suffix.lower() in SUFFIXES]
        found += [(each, subfolder.name) for each in photos] if len(photos) > 1 else []
    if len({name for _, name in found}) < 2:
        raise DataError(
            f"{folder} has fewer than two subfolders with at least two photos each. Make one subfolder per subject."
        )
    return found


def _same_group(vectors: NDArray[np.float32], groups: list[tuple[Path, str]]) -> float:
    """The share of photos whose most similar other photo is in the same subfolder. Vectors are `(N, D)`."""
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    names = np.array([name for _, name in groups])
    return float((names[np.argmax(similarity, axis=1)] == names).mean())


def _pixel_recall(
    photos: list[Path], queries: list[Path], halves: list[tuple[Path, Path]], groups: list[tuple[Path, str]]
) -> Recall:
    similarity = unit(raw_pixels(queries)) @ unit(raw_pixels(photos)).T
    hits = [[photos[i] for i in row] for row in np.argsort(-similarity, axis=1)[:, :5]]
    first, second = (unit(raw_pixels([pair[side] for pair in halves])) for side in (0, 1))
    grouped = _same_group(unit(raw_pixels([path for path, _ in groups])), groups) if groups else None
    return Recall(*_view_recall(queries, hits), _other_half(first, second), grouped)
