"""Finding copies of the same photo."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance

from mvmr_zoo.catalog import DEFAULT_MODEL
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.library import PhotoLibrary
from mvmr_zoo.samples import photographs

from ...command_line import refused, run


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
    with PhotoLibrary(tmp_path / "library", model=DEFAULT_MODEL) as library:
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
    with pytest.raises(ConfigError, match="likeness"):
        filled.duplicates(likeness=1.5)


def test_the_command_writes_reports_and_deletes_nothing(filled: PhotoLibrary, album: Path, tmp_path: Path) -> None:
    before = sorted(album.iterdir())
    for name in ("copies.json", "copies.csv", "copies.png"):
        done = run("duplicates", "-L", filled.folder, "-o", tmp_path / name, home=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1].startswith("3 photos have 4 copies, ")
    groups = json.loads((tmp_path / "copies.json").read_text())
    assert {Path(group["path"]).name for group in groups} == {"0-exact.jpg", "1.jpg", "2.jpg"}
    rows = list(csv.DictReader((tmp_path / "copies.csv").read_text().splitlines()))
    assert [row["kind"] for row in rows].count("best") == 3
    assert len(rows) == 7
    with Image.open(tmp_path / "copies.png") as sheet:
        assert sheet.width > 160
    assert sorted(album.iterdir()) == before


def test_a_report_of_an_unknown_kind_is_refused(filled: PhotoLibrary, tmp_path: Path) -> None:
    refused(run("duplicates", "-L", filled.folder, "-o", tmp_path / "x.xml", home=tmp_path), ".json, .csv, .png")


def test_searching_by_id_and_by_several_photos(filled: PhotoLibrary, album: Path, tmp_path: Path) -> None:
    half = album / "1-half.jpg"
    done = run("search", half, "-L", filled.folder, "--group", "--json", "-k", 2, home=tmp_path)
    first = json.loads(done.stdout)["hits"][0]
    assert Path(first["path"]).name == "1.jpg"
    assert [Path(copy["path"]).name for copy in first["copies"]] == ["1-worse.jpg"]
    by_id = run("search", "--id", first["id"], "-L", filled.folder, "-k", 1, home=tmp_path)
    assert "1-worse.jpg" in by_id.stdout
    both = run("search", half, album / "2.jpg", "--unlike", album / "3.jpg", "-L", filled.folder, home=tmp_path)
    assert "2-brighter.jpg" in both.stdout
    refused(run("search", "-L", filled.folder, home=tmp_path), "names no photo")
    refused(run("search", half, "-L", filled.folder, "--from", "soon", home=tmp_path), "YYYY-MM-DD")
