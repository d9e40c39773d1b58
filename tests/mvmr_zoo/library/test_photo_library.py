"""The photo library from outside: add, change, search, damage."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mvmr_zoo import features
from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.errors import DataError, LibraryDamagedError, LibraryError, LibraryMismatchError
from mvmr_zoo.library import PhotoLibrary
from mvmr_zoo.library.store import Store

from ...conftest import write_photos


@pytest.fixture
def library(tmp_path: Path, checkpoint: Checkpoint) -> Iterator[PhotoLibrary]:
    with PhotoLibrary(tmp_path / "library", model=str(checkpoint.folder)) as library:
        yield library


def vectors_of(folder: Path) -> dict[str, np.ndarray]:
    """Every photo's vector by file name, straight from the database."""
    with sqlite3.connect(folder / "library.sqlite") as connection:
        rows = connection.execute("SELECT path, vector FROM photos").fetchall()
    connection.close()
    return {os.fsdecode(path): np.frombuffer(vector, np.float16).astype(np.float32) for path, vector in rows}


def test_a_photo_finds_its_own_altered_copy_first(library: PhotoLibrary, photo_folder: Path, tmp_path: Path) -> None:
    report = library.add([photo_folder])
    assert (report.found, report.added, report.total, report.failures) == (12, 12, 12, [])
    original = photo_folder / "a" / "04.jpg"
    Image.open(original).save(tmp_path / "copy.jpg", quality=70)
    hits = library.search(tmp_path / "copy.jpg", k=5)
    assert len(hits) == 5
    assert hits[0].path == original
    assert hits[0].score > 0.99
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_search_is_exact_and_leaves_the_query_out(library: PhotoLibrary, photo_folder: Path) -> None:
    library.add([photo_folder])
    paths = sorted(photo_folder.rglob("*.jpg"))
    vectors = library.model.embed(paths)
    hits = library.search(paths[3], k=50)
    expected = [paths[i] for i in np.argsort(-(vectors @ vectors[3])) if i != 3]
    assert [hit.path for hit in hits] == expected
    np.testing.assert_allclose(hits[0].score, np.sort(vectors @ vectors[3])[-2], atol=2e-3)


def test_unchanged_photos_are_not_opened_again(
    library: PhotoLibrary, photo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add([photo_folder])
    monkeypatch.setattr(features, "_prepare", None)  # any decoding would now be an error
    report = library.add([photo_folder])
    assert (report.unchanged, report.added, report.recognised, report.removed) == (12, 0, 0, 0)


def test_new_changed_and_deleted_photos(library: PhotoLibrary, photo_folder: Path) -> None:
    library.add([photo_folder])
    (photo_folder / "a" / "00.jpg").unlink()
    Image.new("RGB", (50, 50), "#336699").save(photo_folder / "a" / "02.jpg")
    Image.new("RGB", (50, 50), "#993366").save(photo_folder / "new.jpg")
    report = library.add([photo_folder])
    assert (report.added, report.removed, report.unchanged, report.total) == (2, 1, 10, 12)
    names = {hit.path.name for hit in library.search(photo_folder / "b" / "01.jpg", 20)}
    assert "00.jpg" not in names
    assert "new.jpg" in names


def test_renamed_photos_are_recognised_by_content(library: PhotoLibrary, photo_folder: Path) -> None:
    library.add([photo_folder])
    before = vectors_of(library.folder)
    (photo_folder / "a").rename(photo_folder / "moved")
    report = library.add([photo_folder])
    assert (report.recognised, report.added, report.removed, report.total) == (6, 0, 6, 12)
    after = vectors_of(library.folder)
    for path, vector in before.items():
        np.testing.assert_array_equal(after[path.replace("/a/", "/moved/")], vector)


def test_a_touched_photo_keeps_its_vector(library: PhotoLibrary, photo_folder: Path) -> None:
    library.add([photo_folder])
    os.utime(photo_folder / "a" / "00.jpg", ns=(1, 1))
    report = library.add([photo_folder])
    assert (report.recognised, report.added, report.unchanged) == (1, 0, 11)


def test_a_deleted_photo_leaves_the_results_even_before_the_next_add(library: PhotoLibrary, photo_folder: Path) -> None:
    library.add([photo_folder])
    query = photo_folder / "a" / "00.jpg"
    first = library.search(query, 1)[0].path
    first.unlink()
    hits = library.search(query, 3)
    assert len(hits) == 3
    assert first not in {hit.path for hit in hits}


def test_failures_are_counted_and_the_rest_is_done(library: PhotoLibrary, photo_folder: Path) -> None:
    (photo_folder / "text.jpg").write_text("no photo")
    (photo_folder / "empty.png").write_bytes(b"")
    whole = (photo_folder / "a" / "00.jpg").read_bytes()
    (photo_folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    Image.new("L", (60_000, 2)).save(photo_folder / "wide.png")
    (photo_folder / "folder.jpg").mkdir()
    report = library.add([photo_folder])
    assert (report.added, report.total) == (12, 12)
    reasons = {Path(os.fsdecode(failure.path)).name: failure.reason for failure in library.status().failures}
    assert set(reasons) == {"text.jpg", "empty.png", "cut.jpg", "wide.png"}
    assert "not an image" in reasons["text.jpg"]
    assert "empty" in reasons["empty.png"]
    assert "truncated" in reasons["cut.jpg"]
    assert "60000 x 2" in reasons["wide.png"]
    (photo_folder / "text.jpg").unlink()
    (photo_folder / "cut.jpg").write_bytes(whole)
    (photo_folder / "empty.png").unlink()
    report = library.add([photo_folder])
    assert [os.path.basename(failure.path) for failure in report.failures] == [b"wide.png"]  # noqa: PTH119
    assert len(library.status().failures) == 1
    assert library.status().photos == 13


def test_names_that_are_not_text(library: PhotoLibrary, photo_folder: Path) -> None:
    odd = os.fsencode(photo_folder) + b"/\xff\xfe\n'.jpg"
    shutil.copy(photo_folder / "a" / "00.jpg", odd)
    library.add([photo_folder])
    assert odd in {os.fsencode(hit.path) for hit in library.search(photo_folder / "b" / "01.jpg", 20)}


def test_a_linked_folder_is_read_once_and_loops_end(library: PhotoLibrary, photo_folder: Path) -> None:
    (photo_folder / "a" / "loop").symlink_to(photo_folder)
    assert library.add([photo_folder]).total == 12


def test_a_bad_link_and_a_pipe_cost_nothing_else(library: PhotoLibrary, photo_folder: Path) -> None:
    (photo_folder / "a" / "00-loop.jpg").symlink_to("00-loop.jpg")
    os.mkfifo(photo_folder / "a" / "pipe.jpg")
    report = library.add([photo_folder])
    assert report.total == 12
    assert [Path(os.fsdecode(failure.path)).name for failure in report.failures] == ["00-loop.jpg"]


def test_a_date_beyond_the_database(library: PhotoLibrary, photo_folder: Path) -> None:
    os.utime(photo_folder / "a" / "00.jpg", (2**34, 2**34))
    assert library.add([photo_folder]).total == 12
    assert library.add([photo_folder]).unchanged == 12


def test_a_photo_that_is_damaged_later_leaves_the_results(library: PhotoLibrary, photo_folder: Path) -> None:
    library.add([photo_folder])
    (photo_folder / "a" / "00.jpg").write_text("no photo any more")
    report = library.add([photo_folder])
    assert (report.total, len(report.failures)) == (11, 1)
    assert photo_folder / "a" / "00.jpg" not in {hit.path for hit in library.search(photo_folder / "b" / "01.jpg", 20)}


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


def test_a_query_reached_by_a_link_is_left_out(library: PhotoLibrary, photo_folder: Path, tmp_path: Path) -> None:
    library.add([photo_folder])
    (tmp_path / "link.jpg").symlink_to(photo_folder / "a" / "00.jpg")
    assert photo_folder / "a" / "00.jpg" not in {hit.path for hit in library.search(tmp_path / "link.jpg", 20)}


def test_the_same_name_with_other_weights(
    library: PhotoLibrary, photo_folder: Path, checkpoint: Checkpoint, other_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(checkpoint.folder, model)
    with PhotoLibrary(tmp_path / "second", model=str(model)) as second:
        second.add([photo_folder])
    shutil.rmtree(model)
    shutil.copytree(other_checkpoint.folder, model)
    with PhotoLibrary(tmp_path / "second") as second, pytest.raises(LibraryMismatchError, match="an earlier"):
        second.search(photo_folder / "a" / "00.jpg")


def test_two_folders_and_a_folder_within_a_folder(library: PhotoLibrary, photo_folder: Path, tmp_path: Path) -> None:
    other = write_photos(tmp_path / "other", 3)
    assert library.add([photo_folder, other]).total == 15
    assert library.add([photo_folder / "a"]).unchanged == 6
    (other / "a" / "00.jpg").unlink()
    assert library.add([photo_folder]).total == 15
    assert library.add([other]).total == 14


def test_a_folder_of_which_only_a_neighbour_shares_the_name(library: PhotoLibrary, tmp_path: Path) -> None:
    one, two = write_photos(tmp_path / "trip", 2), write_photos(tmp_path / "trip2", 2)
    library.add([one, two])
    shutil.rmtree(two)
    two.mkdir()
    assert library.add([one]).total == 4
    with pytest.raises(DataError, match="holds no photo now"):
        library.add([two])
    assert library.status().photos == 4
    assert library.add([two], allow_empty=True).total == 2
    shutil.rmtree(one)
    with pytest.raises(DataError, match="does not exist"):
        library.add([one])
    assert library.add([one], allow_empty=True).total == 0


@pytest.mark.parametrize("kind", ["missing", "file", "empty"])
def test_folders_that_cannot_be_indexed(kind: str, library: PhotoLibrary, tmp_path: Path) -> None:
    path = tmp_path / kind
    if kind == "file":
        path.write_text("x")
    if kind == "empty":
        path.mkdir()
    with pytest.raises(DataError, match=str(path)):
        library.add([path])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_that_cannot_be_read_keeps_its_photos(library: PhotoLibrary, photo_folder: Path) -> None:
    library.add([photo_folder])
    for path in (library.folder, *library.folder.iterdir(), *photo_folder.rglob("*"), photo_folder):
        os.chown(path, 65534, 65534)
    for parent in photo_folder.parents[:4]:
        if parent.stat().st_uid == 0 and parent != Path("/tmp"):
            parent.chmod(0o755)
    (photo_folder / "a").chmod(0)
    os.seteuid(65534)
    try:
        report = library.add([photo_folder])
        assert (report.total, report.removed) == (12, 0)
        assert "Permission denied" in report.failures[0].reason
        assert library.status().index_current
        photo_folder.chmod(0)
        with pytest.raises(DataError, match="no permission"):
            library.add([photo_folder])
    finally:
        os.seteuid(0)
    assert library.status().photos == 12


def test_another_model_is_refused(
    library: PhotoLibrary, photo_folder: Path, other_checkpoint: Checkpoint, checkpoint: Checkpoint
) -> None:
    library.add([photo_folder])
    with PhotoLibrary(library.folder, model=str(other_checkpoint.folder)) as other:
        with pytest.raises(LibraryMismatchError, match=str(checkpoint.folder)):
            other.add([photo_folder])
        with pytest.raises(LibraryMismatchError):
            other.search(photo_folder / "a" / "00.jpg")
    with PhotoLibrary(library.folder) as same:
        assert same.search(photo_folder / "a" / "00.jpg", 1)


def test_search_without_photos_or_library(library: PhotoLibrary, photo_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="holds no photo"):
        library.search(photo_folder / "a" / "00.jpg")
    with pytest.raises(LibraryError, match="no library"):
        PhotoLibrary(tmp_path / "nowhere", create=False)
    assert not (tmp_path / "nowhere").exists()


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
