"""Files of a library that were damaged or exchanged."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.errors import LibraryDamagedError, LibraryError
from mvmr_zoo.search import PhotoLibrary
from mvmr_zoo.search.index.faiss_io import WrittenIndex, write_hashed_index
from mvmr_zoo.search.index.manifest import read_manifest, write_manifest
from mvmr_zoo.search.lock import writing
from mvmr_zoo.search.store import Store


def index_file(folder: Path) -> Path:
    (path,) = folder.glob("index-*.faiss")
    return path


@pytest.mark.parametrize(
    "damage",
    ["cut", "empty", "gone", "garbage", "no manifest", "broken manifest", "of an earlier release", "other rows"],
)
def test_the_index_is_made_again_whatever_happened_to_it(
    damage: str, library: PhotoLibrary, photo_folder: Path
) -> None:
    library.add([photo_folder])
    query = photo_folder / "a" / "00.jpg"
    before = library.search(query, 5)
    file, store = index_file(library.folder), library._store
    data, manifest = file.read_bytes(), read_manifest(store)
    assert manifest is not None
    match damage:
        case "cut":
            file.write_bytes(data[: len(data) // 2])
        case "empty":
            file.write_bytes(b"")
        case "gone":
            file.unlink()
        case "garbage":
            file.write_bytes(bytes(len(data)))
        case "no manifest":
            store.set_fact("index", "null")
        case "broken manifest":
            store.set_fact("index", "{")
        case "of an earlier release":
            store.set_fact("index", '{"generation": 1}')
        case "other rows":
            write_manifest(store, replace(manifest, rows=13, last_id=13))
    with PhotoLibrary(library.folder) as again:
        assert again.search(query, 5) == before
        assert again.status().index_current
    assert index_file(library.folder).stat().st_size == len(data)


@pytest.mark.parametrize("damage", [b"", None])
def test_a_damaged_index_while_another_command_writes(
    damage: bytes | None, library: PhotoLibrary, photo_folder: Path
) -> None:
    """It is not made again then; the search looks at every photo instead."""
    library.add([photo_folder])
    query = photo_folder / "a" / "00.jpg"
    before = [hit.path for hit in library.search(query, 12)]
    file = index_file(library.folder)
    file.unlink() if damage is None else file.write_bytes(damage)
    with writing(library.folder), PhotoLibrary(library.folder) as again:
        assert [hit.path for hit in again.search(query, 12)] == before
        assert file.exists() == (damage is not None)


def test_an_index_file_of_a_restored_database_is_not_taken_for_another(
    library: PhotoLibrary, photo_folder: Path, tmp_path: Path
) -> None:
    library.add([photo_folder / "a"])
    library._store.close()
    shutil.copy(library.folder / "library.sqlite", tmp_path / "backup")
    with PhotoLibrary(library.folder) as later:
        later.add([photo_folder])
    for path in library.folder.glob("library.sqlite*"):
        path.unlink()
    shutil.copy(tmp_path / "backup", library.folder / "library.sqlite")
    with PhotoLibrary(library.folder) as restored:
        hits = restored.search(photo_folder / "b" / "01.jpg", 9)
        assert {hit.path.parent.name for hit in hits} == {"a"}
        assert restored.examine() == []


@pytest.mark.parametrize("keep", [0.5, 0.01])
def test_a_database_cut_in_half_is_one_clear_error(keep: float, library: PhotoLibrary, photo_folder: Path) -> None:
    library.add([photo_folder])
    library.__exit__(None, None, None)
    path = library.folder / "library.sqlite"
    for extra in library.folder.glob("library.sqlite-*"):
        extra.unlink()
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])

    def use_it() -> None:
        with PhotoLibrary(library.folder) as again:
            again.add([photo_folder])
            again.search(photo_folder / "a" / "00.jpg")

    with pytest.raises(LibraryDamagedError, match="photos are not affected"):
        use_it()


def test_a_newer_schema_is_refused(library: PhotoLibrary) -> None:
    with Store(library.folder) as store:
        store._connection.execute("UPDATE facts SET value = '99' WHERE name = 'schema_version'")
    with pytest.raises(LibraryError, match="schema 99"):
        PhotoLibrary(library.folder)


def lose(folder: Path, how: str) -> None:
    match how:
        case "file" | "replaced":
            for file in folder.glob("library.sqlite*"):
                file.unlink()
            if how == "replaced":
                Store(folder).close()
        case "folder":
            shutil.rmtree(folder)
        case "moved":
            folder.rename(folder.with_name("moved"))


LOST = "was deleted or replaced while it was in use"


@pytest.mark.parametrize("how", ["file", "replaced", "folder", "moved"])
@pytest.mark.parametrize("last", [False, True])
def test_a_database_that_is_deleted_while_photos_are_added(
    how: str, library: PhotoLibrary, photo_folder: Path, *, last: bool
) -> None:
    """SQLite goes on writing to a deleted file, so the photos would be counted as indexed and be lost."""

    def delete(done: int, total: int) -> None:
        if done == (total if last else 0):
            lose(library.folder, how)

    with pytest.raises(LibraryError, match=LOST):
        library.add([photo_folder], progress=delete)
    library.__exit__(None, None, None)
    with PhotoLibrary(library.folder, model=library._spec) as again:
        assert again.add([photo_folder]).added > 0


@pytest.mark.parametrize("how", ["file", "replaced", "folder", "moved"])
def test_a_database_that_is_deleted_while_it_is_used(
    how: str, library: PhotoLibrary, photo_folder: Path, other_checkpoint: Checkpoint
) -> None:
    library.add([photo_folder])
    query = photo_folder / "a" / "00.jpg"
    assert library.search(query)

    def delete(done: int, total: int) -> None:
        if done == 0:
            lose(library.folder, how)

    with pytest.raises(LibraryError, match=LOST):
        library.reindex(str(other_checkpoint.folder), progress=delete)
    for use in (library.status, library.examine, lambda: library.search(query), lambda: library.duplicates()):
        with pytest.raises(LibraryError, match=LOST):
            use()


def test_a_folder_that_is_deleted_while_the_index_is_written(
    library: PhotoLibrary, photo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(index: object, path: Path) -> WrittenIndex:
        shutil.rmtree(library.folder)
        return write_hashed_index(index, path)

    monkeypatch.setattr("mvmr_zoo.search.refresh.write_hashed_index", write)
    with pytest.raises(LibraryError, match=LOST):
        library.add([photo_folder])


def test_an_index_file_that_is_deleted_during_a_search(library: PhotoLibrary, photo_folder: Path) -> None:
    library.add([photo_folder])
    query = photo_folder / "a" / "00.jpg"
    before = library.search(query, 5)
    index_file(library.folder).unlink()
    assert library.search(query, 5) == before  # it is in memory
    with PhotoLibrary(library.folder) as again:
        assert again.search(query, 5) == before


@pytest.mark.parametrize("name", ["library.sqlite", "library.sqlite-wal", "library.sqlite-shm"])
def test_a_pipe_instead_of_the_database(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(LibraryError, match=rf"cannot be used as a library folder: {name}: it is not a regular file\."):
        PhotoLibrary(tmp_path)
