"""How many lists are searched: measured, recorded, and enough."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mvmr_zoo.errors import ConfigError, LibraryError
from mvmr_zoo.search import PhotoLibrary
from mvmr_zoo.search import refresh as build
from mvmr_zoo.search.index.tuning import fewest, held_out
from mvmr_zoo.search.store import Store

from ....command_line import refused, run
from ..vectors import clustered, nearest, remember

ROWS = 4_000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(build, "EXACT_LIMIT", 1_000)
    with Store(tmp_path / "library") as store:
        remember(store, tmp_path / "photos", clustered(ROWS))
    return tmp_path / "library"


@pytest.mark.parametrize("goal", [1, 2, 3, 5, 8, 9, 100, 128])
def test_fewest_is_found_to_an_eighth(goal: int) -> None:
    asked = []

    def reaches(number: int) -> bool:
        asked.append(number)
        return number >= goal

    found = fewest(reaches, 128)
    assert goal <= found <= goal * 1.15
    assert len(asked) <= 14
    assert found == goal or goal > 8


def test_one_in_64_is_held_out_whatever_the_ids() -> None:
    assert held_out(np.arange(100_000)).mean() == pytest.approx(1 / 64, rel=0.1)
    assert held_out(np.arange(0, 1_000_000, 10)).mean() == pytest.approx(1 / 64, rel=0.1)


def test_the_recall_asked_for_is_reached_by_other_queries(folder: Path) -> None:
    with PhotoLibrary(folder) as library:
        low = library.tune(0.5).tuning
        high = library.tune(0.99).tuning
        assert low is not None
        assert high is not None
        assert low.nprobe < high.nprobe < high.lists
        assert high.queries == held_out(library._store.all_ids()).sum()
        recalls = [point.recall for point in high.curve]
        assert recalls == sorted(recalls)
        assert high.chosen.low >= 0.99
        assert next(point.nprobe for point in high.curve if point.low >= 0.99) == high.nprobe
        index = library._open_index()
        found = [
            len(set(index.search(query, 10).ids.tolist()) & set(nearest(library._store, query, 10))) / 10
            for query in clustered(150, seed=8)
        ]
    assert np.mean(found) >= 0.98


def test_tuning_survives_and_is_shown(folder: Path, tmp_path: Path) -> None:
    with PhotoLibrary(folder) as library:
        tuning = library.tune(0.9).tuning
        assert tuning is not None
        status = library.status()
        assert status.index is not None
        assert status.index.tuning == tuning
        generation = status.index.generation
        assert library.tune(0.9).generation == generation  # no file was made
    shown = run("index", "status", "-L", folder, home=tmp_path).stdout
    assert f"{tuning.nprobe} of {tuning.lists} clusters searched" in shown
    assert "target 0.9" in shown
    assert f"{tuning.nprobe:>8}  {tuning.chosen.recall:>9.4f}" in shown


def test_an_exact_index_has_nothing_to_tune(library: PhotoLibrary, photo_folder: Path, tmp_path: Path) -> None:
    library.add([photo_folder])
    done = run("index", "tune", "-L", library.folder, home=tmp_path)
    assert done.returncode == 0
    assert "The index of 12 photos is exact" in done.stdout


@pytest.mark.parametrize("recall", [0, -1, 1.01, float("nan")])
def test_a_recall_out_of_range(recall: float, folder: Path) -> None:
    with PhotoLibrary(folder) as library, pytest.raises(ConfigError, match="above 0 and at most 1"):
        library.tune(recall)


def test_an_empty_library_and_none(tmp_path: Path) -> None:
    with PhotoLibrary(tmp_path / "empty") as library, pytest.raises(LibraryError, match="contains no photos"):
        library.tune()
    refused(run("index", "tune", "-L", tmp_path / "none", home=tmp_path), "There is no library")
