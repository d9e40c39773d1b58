"""Finding copies of the same photo."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance

from mvmr_zoo.cli import main
from mvmr_zoo.datasets.samples import photographs
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.images.scan import Stamp
from mvmr_zoo.inference.pipeline import unit
from mvmr_zoo.models.catalog import BUNDLED_MODEL
from mvmr_zoo.search import PhotoLibrary
from mvmr_zoo.search.duplicates import find_duplicates, is_copy, photo_rank
from mvmr_zoo.search.rows import PhotoRow

from ...command_line import Typist, refused, run
from ...conftest import write_photos
from .vectors import DIM, clustered


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Ten different photographs, and copies of the first three."""
    folder = tmp_path / "album"
    folder.mkdir()
    for number, path in enumerate(photographs()[:10]):
        image = Image.open(path).convert("RGB")
        image.thumbnail((400, 400))
        image.save(folder / f"{number}.jpg", quality=92)
    shutil.copy(folder / "0.jpg", folder / "0-exact.jpg")
    first = Image.open(folder / "1.jpg")
    first.resize((first.width // 2, first.height // 2)).save(folder / "1-half.jpg", quality=85)
    first.save(folder / "1-worse.jpg", quality=40)
    ImageEnhance.Brightness(Image.open(folder / "2.jpg")).enhance(1.15).save(folder / "2-brighter.jpg", quality=80)
    return folder


@pytest.fixture
def filled(tmp_path: Path, album: Path) -> PhotoLibrary:
    with PhotoLibrary(tmp_path / "library", model=BUNDLED_MODEL) as library:
        library.add([album])
        yield library


def found(library: PhotoLibrary, **options: object) -> dict[str, list[tuple[str, str]]]:
    groups = library.duplicates(**options)
    return {group.path.name: [(copy.path.name, copy.kind) for copy in group.copies] for group in groups}


def test_copies_are_found_and_different_photos_are_not(filled: PhotoLibrary) -> None:
    groups = {name: sorted(copies) for name, copies in found(filled).items()}
    assert groups == {
        "0-exact.jpg": [("0.jpg", "exact")],
        "1.jpg": [("1-half.jpg", "near"), ("1-worse.jpg", "near")],
        "2.jpg": [("2-brighter.jpg", "near")],
    }
    assert found(filled, near=False) == {"0-exact.jpg": [("0.jpg", "exact")]}


def test_an_exact_copy_of_a_near_copy_is_in_its_group(filled: PhotoLibrary, album: Path) -> None:
    shutil.copy(album / "1-half.jpg", album / "1-half-again.jpg")
    filled.add([album])
    copies = dict(found(filled)["1.jpg"])
    assert copies == {"1-half.jpg": "near", "1-half-again.jpg": "near", "1-worse.jpg": "near"}


def test_a_file_that_is_gone_is_no_copy(filled: PhotoLibrary, album: Path) -> None:
    (album / "0.jpg").unlink()
    (album / "2.jpg").unlink()
    assert set(found(filled)) == {"1.jpg"}


def test_thresholds(filled: PhotoLibrary) -> None:
    assert "2.jpg" not in found(filled, cosine=1.0)
    with pytest.raises(ConfigError, match="cosine"):
        filled.duplicates(cosine=0)
    with pytest.raises(ConfigError, match="correlation"):
        filled.duplicates(correlation=1.5)


def test_the_command_writes_reports_and_deletes_nothing(filled: PhotoLibrary, album: Path, tmp_path: Path) -> None:
    before = sorted(album.iterdir())
    for name in ("copies.json", "copies.csv", "copies.png"):
        done = run("duplicates", "-L", filled.folder, "-o", tmp_path / name, home=tmp_path)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 1
        assert done.stdout.startswith("3 photos have 4 copies (")
    groups = json.loads((tmp_path / "copies.json").read_text())
    assert {Path(group["path"]).name for group in groups} == {"0-exact.jpg", "1.jpg", "2.jpg"}
    rows = list(csv.DictReader((tmp_path / "copies.csv").read_text().splitlines()))
    assert [row["kind"] for row in rows].count("best") == 3
    assert len(rows) == 7
    with Image.open(tmp_path / "copies.png") as sheet:
        assert sheet.width > 160
    assert sorted(album.iterdir()) == before


def test_a_picture_shows_the_largest_groups(
    library: PhotoLibrary, tmp_path: Path, typist: Typist, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = write_photos(tmp_path / "photos", 32)
    library.add([photos])
    shutil.copytree(photos, photos / "again")
    for number in range(12):
        shutil.copy(photos / "a" / "00.jpg", photos / f"{number}.jpg")
    library.add([photos])
    drawn: list[str] = []
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda self, at, text, **_: drawn.append(text))

    def duplicates(report: str) -> list[str]:
        done = typist(main, "mvmr-zoo", "duplicates", "--exact", "-L", library.folder, "-o", tmp_path / report)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    total, left_out = duplicates("sheet.png")
    assert total.startswith("32 photos have 44 copies (")
    assert "does not show 2 photos with copies and 3 further copies. Use --output with .json or .csv" in left_out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (11 * 168 + 8, 30 * 202 + 8)
    assert (drawn.count("best"), drawn.count("query"), drawn.count("1.000")) == (30, 0, 39)
    assert duplicates("all.csv") == [total]
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 1 + 32 + 44


def test_a_report_of_an_unknown_kind_is_refused(filled: PhotoLibrary, tmp_path: Path, typist: Typist) -> None:
    done = typist(main, "mvmr-zoo", "duplicates", "-L", filled.folder, "-o", tmp_path / "x.xml")
    refused(done, ".json, .csv, .png")


def test_searching_by_id_and_by_several_photos(
    filled: PhotoLibrary, album: Path, tmp_path: Path, typist: Typist
) -> None:
    here = (main, "mvmr-zoo", "search", "-L", filled.folder)
    half = album / "1-half.jpg"
    done = run("search", half, "-L", filled.folder, "--group", "--json", "-k", 2, home=tmp_path)
    first = json.loads(done.stdout)["hits"][0]
    assert Path(first["path"]).name == "1.jpg"
    assert [Path(copy["path"]).name for copy in first["copies"]] == ["1-worse.jpg"]
    by_id = typist(*here, "--id", first["id"], "-k", 1)
    assert "1-worse.jpg" in by_id.stdout
    both = typist(*here, half, album / "2.jpg", "--unlike", album / "3.jpg")
    assert "2-brighter.jpg" in both.stdout
    refused(typist(*here), "contains no photo")
    refused(typist(*here, half, "--from", "soon"), "YYYY-MM-DD")


def made_up(vectors: NDArray[np.float32], paths: list[Path]) -> dict[int, PhotoRow]:
    """Rows of different contents and sizes; their files are some photos' in turn."""
    return {
        number: PhotoRow(
            root=b"/",
            path=os.fsencode(paths[number % len(paths)]),
            stamp=Stamp(1000 + number % 7, 0),
            sha256=number.to_bytes(32, "big"),
            taken_at=None,
            width=100 + number % 3,
            height=100,
            vector=vector.astype(np.float16),
        )
        for number, vector in enumerate(vectors)
    }


def naive(photos: dict[int, PhotoRow]) -> dict[int, list[int]]:
    """Each photo, from the best on, takes every later one that is like it and not taken."""
    ranked = sorted(photos, key=lambda id_: photo_rank(photos[id_]))
    groups: dict[int, list[int]] = {}
    taken: set[int] = set()
    for at, best in enumerate(ranked):
        if best in taken:
            continue
        copies = [other for other in ranked[at + 1 :] if other not in taken and is_copy(photos[best], photos[other])]
        if copies:
            groups[best] = copies
            taken |= set(copies)
    return groups


def test_groups_are_those_of_comparing_one_by_one(album: Path) -> None:
    photos = made_up(clustered(400), sorted(album.glob("*.jpg"))[:4])
    groups = find_duplicates(photos)
    assert len(groups) > 20
    assert {group.id: sorted(copy.id for copy in group.copies) for group in groups} == {
        best: sorted(copies) for best, copies in naive(photos).items()
    }
    for group in groups:
        cosines = [copy.cosine for copy in group.copies]
        assert cosines == sorted(cosines, reverse=True)


def test_many_photos_that_are_all_alike_take_little_memory(album: Path) -> None:
    vectors = unit(1 + 0.01 * np.random.default_rng(0).standard_normal((3_000, DIM)).astype(np.float32))
    photos = made_up(vectors, [album / "0.jpg"])
    tracemalloc.start()
    try:
        (group,) = find_duplicates(photos)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(group.copies) == 2_999
    assert peak < 20e6  # all pairs would be 500e6


def test_pages_of_groups_follow_one_another(album: Path, tmp_path: Path) -> None:
    image = Image.open(album / "3.jpg")
    for quality in range(60, 90):
        image.save(album / f"3-{quality}.jpg", quality=quality)
    with PhotoLibrary(tmp_path / "library", model="effnet-lite:0") as library:
        total = library.add([album]).total
        whole = library.search(album / "3.jpg", total, group=True, keep_query=True)
        pages = [
            library.search(album / "3.jpg", 3, offset=first, group=True, keep_query=True) for first in (0, 3, 6, 9)
        ]
    assert len(whole[0].copies) >= 30
    assert 10 <= len(whole) <= 12
    assert [hit.path for page in pages for hit in page] == [hit.path for hit in whole]
    shown = {path for hit in whole for path in (hit.path, *(copy.path for copy in hit.copies))}
    assert len(shown) == total
