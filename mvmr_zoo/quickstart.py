"""The main job in one minute, on real photos that are on this machine already."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from mvmr_zoo.errors import ConfigError
from mvmr_zoo.evaluate import raw_pixels
from mvmr_zoo.features import unit
from mvmr_zoo.library import PhotoLibrary
from mvmr_zoo.library.sheet import save_sheet
from mvmr_zoo.library.update import Progress
from mvmr_zoo.samples import make_samples, photograph_of

SHEET_QUERIES = 8
_MARK = ".made-by-mvmr-quickstart"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Recall:
    """Shares in [0, 1] of queries with a view of the same photograph among the first 1 and 5 hits."""

    at_1: float
    at_5: float


@dataclass(frozen=True, kw_only=True)
class QuickstartReport:
    """What the quickstart did and measured.

    Args:
        photos: indexed.
        queries: searched with.
        photographs: different ones among them.
        model: the encoder's name.
        recall: of the encoder's vectors.
        pixels: of raw 16 x 16 pixels, for comparison.
        seconds: of each step, by its name.
        library: folder of the library made.
        query: one of the photos held back, to try.
        sheet: the contact sheet.
    """

    photos: int
    queries: int
    photographs: int
    model: str
    recall: Recall
    pixels: Recall
    seconds: dict[str, float]
    library: Path
    query: Path
    sheet: Path


def quickstart(folder: Path, *, progress: Progress = lambda done, total: None) -> QuickstartReport:
    """Make sample photos, index them, search with the views held back.

    Args:
        folder: everything is written here; what an earlier quickstart left in it is made anew.
        progress: told how far indexing is.

    Raises:
        ConfigError: the folder holds something that no quickstart made.
    """
    _make_room(folder)
    clock = _Clock()
    samples = clock("make the photos", lambda: make_samples(folder / "photos"))
    queries = sorted(samples.queries.iterdir())
    with PhotoLibrary(folder / "library") as library:
        model = clock("load the model", lambda: library.model)
        added = clock("index them", lambda: library.add([samples.library], progress=progress))
        hits = clock("search", lambda: [library.search(query, 5) for query in queries])
        recall = _recall(queries, [[hit.path for hit in found] for found in hits])
        pixels = clock("search raw pixels", lambda: _pixel_recall(sorted(samples.library.iterdir()), queries))
        sheet = folder / "sheet.png"
        shown = list(zip(queries, hits, strict=True))[:: max(1, len(queries) // SHEET_QUERIES)][:SHEET_QUERIES]
        clock("write the contact sheet", lambda: save_sheet(sheet, shown))
    return QuickstartReport(
        photos=added.total,
        queries=len(queries),
        photographs=samples.photographs,
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
        raise ConfigError(f"{folder} holds something that no quickstart made. Give another --folder.")
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


def _recall(queries: list[Path], hits: list[list[Path]]) -> Recall:
    right = np.array(
        [
            [photograph_of(hit) == photograph_of(query) for hit in found]
            for query, found in zip(queries, hits, strict=True)
        ]
    )
    return Recall(float(right[:, 0].mean()), float(right.any(axis=1).mean()))


def _pixel_recall(photos: list[Path], queries: list[Path]) -> Recall:
    similarity = unit(raw_pixels(queries)) @ unit(raw_pixels(photos)).T
    return _recall(queries, [[photos[i] for i in row] for row in np.argsort(-similarity, axis=1)[:, :5]])
