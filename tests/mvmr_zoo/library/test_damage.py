"""Files of a library that were damaged or exchanged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.errors import LibraryDamagedError, LibraryError
from mvmr_zoo.library import PhotoLibrary
from mvmr_zoo.library.store import Store

from ...conftest import write_photos


def test_an_index_of_another_library_is_not_believed(
    library: PhotoLibrary, photo_folder: Path, tmp_path: Path, checkpoint: Checkpoint
) -> None:
    library.add([photo_folder])
    other = write_photos(tmp_path / "other", 12)
    for path in other.rglob("*.jpg"):
        path.rename(path.with_name(f"other-{path.name}"))
    with PhotoLibrary(tmp_path / "second", model=str(checkpoint.folder)) as second:
        second.add([other])
    for name in ("index.json", index_file(library.folder).name):
        shutil.copy(library.folder / name, tmp_path / "second" / name)
    with PhotoLibrary(tmp_path / "second") as second:
        assert not second.status().index_current
        hits = second.search(photo_folder / "a" / "00.jpg", 1)
    assert hits[0].path.name == "other-00.jpg"


def index_file(folder: Path) -> Path:
    (path,) = folder.glob("index-*.faiss")
    return path


@pytest.mark.parametrize(
    "damage", ["cut", "gone", "garbage", "no manifest", "broken manifest", "wrong types", "other size"]
)
def test_the_index_is_made_again_whatever_happened_to_it(
    damage: str, library: PhotoLibrary, photo_folder: Path
) -> None:
    library.add([photo_folder])
    query = photo_folder / "a" / "00.jpg"
    before = library.search(query, 5)
    file, manifest = index_file(library.folder), library.folder / "index.json"
    data = file.read_bytes()
    match damage:
        case "cut":
            file.write_bytes(data[: len(data) // 2])
        case "gone":
            file.unlink()
        case "garbage":
            file.write_bytes(bytes(len(data)))
        case "no manifest":
            manifest.unlink()
        case "broken manifest":
            manifest.write_text("{")
        case "wrong types":
            manifest.write_text(manifest.read_text().replace('"generation": 1', '"generation": "x"'))
        case "other size":
            manifest.write_text(manifest.read_text().replace('"rows": 12', '"rows": 13'))
    assert library.search(query, 5) == before
    assert library.status().index_current
    assert index_file(library.folder).stat().st_size == len(data)


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

    with pytest.raises(LibraryDamagedError, match="photos are not touched"):
        use_it()


def test_a_newer_schema_is_refused(library: PhotoLibrary) -> None:
    with Store(library.folder) as store:
        store._connection.execute("UPDATE facts SET value = '99' WHERE name = 'schema_version'")
    with pytest.raises(LibraryError, match="schema 99"):
        PhotoLibrary(library.folder)
