"""Photos whose files are not there: marked, found again, forgotten by `prune`; globs."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from mvmr_zoo.library import Globs, PhotoLibrary, Query
from mvmr_zoo.library.schema import DATABASE_FILE

from ...command_line import run


@pytest.fixture
def filled(library: PhotoLibrary, photo_folder: Path) -> PhotoLibrary:
    library.add([photo_folder])
    return library


def found(library: PhotoLibrary) -> set[Path]:
    some = next(iter(library._store.ids("1", ())))
    return {hit.path for hit in library.search(Query(like_ids=[int(some)]), 99, keep_query=True)}


def test_a_missing_photo_is_marked_and_comes_back_without_decoding(
    filled: PhotoLibrary, photo_folder: Path, tmp_path: Path
) -> None:
    away = tmp_path / "away"
    (photo_folder / "a").rename(away)
    report = filled.add([photo_folder])
    assert (report.removed, report.total) == (6, 6)
    status = filled.status()
    assert (status.photos, status.missing, status.index_current) == (6, 6, True)
    assert len(found(filled)) == 6
    away.rename(photo_folder / "a")
    report = filled.add([photo_folder])
    assert (report.added, report.unchanged, report.total) == (0, 12, 12)
    assert filled.status().missing == 0
    assert len(found(filled)) == 12


def test_a_moved_photo_is_not_missing(filled: PhotoLibrary, photo_folder: Path) -> None:
    (photo_folder / "a").rename(photo_folder / "c")
    report = filled.add([photo_folder])
    assert (report.added, report.recognised, report.removed, report.total) == (0, 6, 6, 12)
    assert filled.status().missing == 0


def test_prune_forgets_what_is_missing_and_keeps_what_is_back(
    filled: PhotoLibrary, photo_folder: Path, tmp_path: Path
) -> None:
    shutil.move(photo_folder / "a" / "00.jpg", tmp_path / "00.jpg")
    (photo_folder / "a" / "02.jpg").unlink()
    filled.add([photo_folder])
    shutil.move(tmp_path / "00.jpg", photo_folder / "a" / "00.jpg")
    shown = run("index", "status", "-L", filled.folder, home=tmp_path).stdout
    assert "10, and 2 missing (`" in shown
    done = run("index", "prune", "-L", filled.folder, home=tmp_path)
    assert done.stdout == "1 missing photos forgotten, 1 found to be there again.\n"
    assert (filled.status().photos, filled.status().missing) == (11, 0)
    assert photo_folder / "a" / "00.jpg" in found(filled)


@pytest.mark.parametrize(
    ("globs", "expected"),
    [
        (Globs(exclude=("a",)), "b"),
        (Globs(exclude=("a/*",)), "b"),
        (Globs(include=("b/*.jpg",)), "b"),
        (Globs(include=("a", "b")), "ab"),
        (Globs(include=("*.jpg",), exclude=("b",)), "a"),
        (Globs(exclude=("*.JPG", "[cd]")), "ab"),
    ],
)
def test_globs(library: PhotoLibrary, photo_folder: Path, globs: Globs, expected: str) -> None:
    library.add([photo_folder], globs=globs)
    assert {path.parent.name for path in found(library)} == set(expected)
    assert len(found(library)) == 6 * len(expected)


def test_what_a_glob_leaves_out_now_is_forgotten_not_missing(filled: PhotoLibrary, photo_folder: Path) -> None:
    report = filled.add([photo_folder], globs=Globs(exclude=("a",)))
    assert (report.removed, report.total, filled.status().missing) == (6, 6, 0)


def test_globs_on_the_command_line(filled: PhotoLibrary, photo_folder: Path, tmp_path: Path) -> None:
    add = ("index", "add", photo_folder, "-L", filled.folder)
    assert "6 photos found" in run(*add, "--include", "a/*", home=tmp_path).stdout
    assert "11 photos found" in run(*add, "--exclude", "00.jpg", home=tmp_path).stdout


def test_a_library_of_the_first_schema_is_brought_up_to_date(filled: PhotoLibrary, photo_folder: Path) -> None:
    folder = filled.folder
    filled.__exit__(None, None, None)
    connection = sqlite3.connect(folder / DATABASE_FILE)
    with connection:
        connection.execute("DROP INDEX photos_missing")
        connection.execute("ALTER TABLE photos DROP COLUMN missing")
        connection.execute("UPDATE facts SET value = '1' WHERE name = 'schema_version'")
    connection.close()
    with PhotoLibrary(folder) as library:
        assert library.add([photo_folder]).unchanged == 12
        (photo_folder / "a" / "00.jpg").unlink()
        library.add([photo_folder])
        assert library.status().missing == 1
