"""The index answers as the store's vectors do, while photos come and go."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mvmr_zoo.errors import ConfigError, LibraryDamagedError
from mvmr_zoo.search import refresh as build
from mvmr_zoo.search.index.faiss_io import has_gpu, stored_ids
from mvmr_zoo.search.index.manifest import Manifest, read_manifest
from mvmr_zoo.search.index.vector_index import open_index
from mvmr_zoo.search.refresh import needs_refresh, refresh
from mvmr_zoo.search.store import Store

from ..vectors import clustered, nearest, remember

KINDS = ["exact", "ivf"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "library") as store:
        remember(store, tmp_path / "photos", clustered(3_000))
        yield store


def made(store: Store, kind: str, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    monkeypatch.setattr(build, "EXACT_LIMIT", 1_000 if kind == "ivf" else 100_000)
    refresh(store.path.parent, store)
    manifest = read_manifest(store)
    assert manifest is not None
    assert manifest.kind == kind
    return manifest


def photos(store: Store, some: slice) -> list[bytes]:
    return store.paths()[some]


def answers(store: Store, query: NDArray[np.float32], k: int = 10) -> list[int]:
    """Of the index, photos that are gone left out."""
    found = open_index(store.path.parent, store).search(query, 10 * k)
    return [id_ for id_ in found.ids.tolist() if id_ in store.by_id([id_])][:k]


@pytest.mark.parametrize("kind", KINDS)
def test_what_came_and_went_is_searched_without_another_file(
    kind: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = made(store, kind, monkeypatch)
    store.write(removed=photos(store, slice(0, 2_000, 10)))  # 200 of 3,000
    remember(store, tmp_path / "photos", clustered(300, seed=2), first=9_000)
    refresh(store.path.parent, store)
    assert read_manifest(store) == manifest
    index = open_index(store.path.parent, store)
    assert index.rows == 3_300
    queries = clustered(50, seed=5)
    agree = [len(set(answers(store, query)) & set(nearest(store, query, 10))) / 10 for query in queries]
    assert np.mean(agree) >= (1 if kind == "exact" else 0.97)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", ["gone", "later"])
def test_a_fifth_gone_or_later_makes_the_file_up_to_date(
    kind: str, change: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made(store, kind, monkeypatch)
    if change == "gone":
        store.write(removed=photos(store, slice(0, 700)))
    else:
        remember(store, tmp_path / "photos", clustered(700, seed=3), first=9_000)
    assert needs_refresh(store.path.parent, store)
    refresh(store.path.parent, store)
    after = read_manifest(store)
    assert after is not None
    assert (after.generation, after.rows, after.tuning) == (2, len(store.all_ids()), before.tuning)
    assert [path.name for path in store.path.parent.glob("index-*")] == [after.file]
    base = open_index(store.path.parent, store)._base
    assert sorted(stored_ids(base)) == store.all_ids().tolist()
    query = clustered(1, seed=5)[0]
    assert answers(store, query) == nearest(store, query, 10)


def test_lists_that_were_outgrown_are_made_again(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(store, "ivf", monkeypatch)
    monkeypatch.setattr(build, "_OUTGROWN_FACTOR", 1.5)
    remember(store, tmp_path / "photos", clustered(1_600, seed=3), first=9_000)
    refresh(store.path.parent, store)
    manifest = read_manifest(store)
    assert manifest is not None
    assert (manifest.trained_rows, manifest.rows) == (4_600, 4_600)


@pytest.mark.parametrize("kind", KINDS)
def test_a_filter_finds_the_best_of_those_it_allows(
    kind: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(store, kind, monkeypatch)
    remember(store, tmp_path / "photos", clustered(50, seed=2), first=9_000)
    index = open_index(store.path.parent, store)
    among = np.concatenate([store.all_ids()[7:2_000:97], store.all_ids()[-5:]])
    query = clustered(1, seed=5)[0]
    allowed = [id_ for id_ in nearest(store, query, 9_999) if id_ in among]
    assert index.search(query, 10, among=among).ids.tolist() == allowed[:10]
    assert sorted(index.search(query, 999, among=among).ids.tolist()) == sorted(allowed)


@pytest.mark.parametrize("kind", [*KINDS, "none"])
def test_all_are_found_where_all_are_asked_for(kind: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind != "none":
        made(store, kind, monkeypatch)
    found = open_index(store.path.parent, store).search(clustered(1, seed=5)[0], 5_000)
    assert sorted(found.ids.tolist()) == store.all_ids().tolist()
    assert (np.diff(found.scores) <= 0).all()


def test_a_vector_of_another_length_is_not_searched_with(store: Store) -> None:
    store._connection.execute("UPDATE photos SET vector = x'00' WHERE id = 5")
    with pytest.raises(LibraryDamagedError, match="length is not 16"):
        refresh(store.path.parent, store)


def test_a_library_whose_name_is_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/n\xff\n"))
    with Store(folder) as store:
        remember(store, tmp_path / "photos", clustered(2_000))
        made(store, "ivf", monkeypatch)
        assert answers(store, clustered(1, seed=5)[0])


def test_a_gpu_that_is_not_there_is_one_clear_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made(store, "exact", monkeypatch)
    if has_gpu():
        assert len(open_index(store.path.parent, store, gpu=True).search(clustered(1, seed=5)[0], 10).ids) == 10
        return
    with pytest.raises(ConfigError, match="does not support GPUs"):
        open_index(store.path.parent, store, gpu=True)


def test_the_background_is_that_of_the_photos_there_are_now(store: Store, tmp_path: Path) -> None:
    with Store(tmp_path / "small") as small:
        remember(small, tmp_path / "few", clustered(10))
        refresh(small.path.parent, small)
        assert not open_index(small.path.parent, small).has_percentiles
        remember(small, tmp_path / "few", clustered(500, seed=1), first=10)
        refresh(small.path.parent, small)
        grown = read_manifest(small)
    assert grown is not None
    assert (grown.rows, len(grown.background)) == (510, 101)


@pytest.mark.parametrize("nprobe", [0, -1, 2.5, "x", 10_000])
def test_a_tuning_that_cannot_be(nprobe: object, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = made(store, "ivf", monkeypatch)
    assert manifest.tuning is not None
    facts = asdict(manifest)
    facts["tuning"]["nprobe"] = nprobe
    store.set_fact("index", json.dumps(facts))
    assert read_manifest(store) is None
    assert len(open_index(store.path.parent, store).search(clustered(1, seed=5)[0], 10).ids) > 0
