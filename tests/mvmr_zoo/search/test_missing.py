"""Photos whose files are not there: marked, found again, forgotten by `prune`; globs."""

from __future__ import annotations

import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from mvmr_zoo.errors import DataError, LibraryError
from mvmr_zoo.search import Filters, Globs, PhotoLibrary, Query
from mvmr_zoo.search.store import DATABASE_FILE, Store

from ...command_line import refused, run
from .vectors import clustered, remember


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
    assert (report.added, report.recognized, report.removed, report.total) == (0, 6, 6, 12)
    assert filled.status().missing == 0


def test_prune_forgets_what_is_missing_and_keeps_what_is_back(
    filled: PhotoLibrary, photo_folder: Path, tmp_path: Path
) -> None:
    shutil.move(photo_folder / "a" / "00.jpg", tmp_path / "00.jpg")
    (photo_folder / "a" / "02.jpg").unlink()
    filled.add([photo_folder])
    shutil.move(tmp_path / "00.jpg", photo_folder / "a" / "00.jpg")
    shown = run("index", "status", "-L", filled.folder, home=tmp_path).stdout
    assert "10, and 2 missing (run `" in shown
    done = run("index", "prune", "-L", filled.folder, home=tmp_path)
    assert done.stdout == "1 missing photo removed from the library. 1 file exists again and was kept.\n"
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


def test_missing_photos_are_told_once_and_removed_with_their_folder(filled: PhotoLibrary, photo_folder: Path) -> None:
    (photo_folder / "a" / "00.jpg").unlink()
    assert [filled.add([photo_folder]).removed for _ in range(3)] == [1, 0, 0]
    assert filled.remove([photo_folder / "a"]) == 6
    status = filled.status()
    assert (status.photos, status.missing) == (6, 0)
    with pytest.raises(DataError, match="contains no photos from"):
        filled.remove([photo_folder / "a"])
    assert filled.add([photo_folder]).added == 5


def test_photos_behind_a_link_are_named_by_it(library: PhotoLibrary, photo_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "albums").mkdir()
    (tmp_path / "albums" / "link").symlink_to(photo_folder / "a")
    library.add([tmp_path / "albums"])
    query = photo_folder / "b" / "01.jpg"
    assert len(library.search(query, 9, filters=Filters(folder=tmp_path / "albums" / "link"))) == 6
    assert library.remove([tmp_path / "albums" / "link"]) == 6


def test_marking_many_takes_no_longer_a_photo(tmp_path: Path) -> None:
    seconds = {}
    for count in (500, 4_000):
        with Store(tmp_path / f"{count}") as store:
            remember(store, tmp_path / "photos", clustered(count))
            paths = store.paths()
            began = time.process_time()
            store.mark(missing=paths[: count // 2])
            seconds[count] = (time.process_time() - began) / count
            assert len(store.paths("missing = 1")) == count // 2
    assert seconds[4_000] < 4 * seconds[500]


def test_an_embeddings_folder_is_no_photo_library(photo_folder: Path, tmp_path: Path) -> None:
    for name in ("img_emb", "metadata"):
        (tmp_path / "out" / name).mkdir(parents=True)
    refused(run("index", "add", photo_folder, "-L", tmp_path / "out", home=tmp_path), "is an embeddings folder, not")
    refused(run("duplicates", "-L", tmp_path / "out", home=tmp_path), "is an embeddings folder, not")
    assert not (tmp_path / "out" / DATABASE_FILE).exists()


def test_a_disk_that_is_not_connected_is_told_at_once(tmp_path: Path) -> None:
    with Store(tmp_path / "library") as store:
        remember(store, tmp_path / "disk", clustered(3_000))
    (tmp_path / "disk").rename(tmp_path / "away")
    query = Query(like_ids=[5])
    with PhotoLibrary(tmp_path / "library") as library:
        with pytest.raises(LibraryError, match="files of the 1,000 best photos are missing"):
            library.search(query)
        (tmp_path / "disk").mkdir()
        for path in sorted((tmp_path / "away").iterdir())[::10]:
            path.rename(tmp_path / "disk" / path.name)
        assert len(library.search(query, 300)) == 300
