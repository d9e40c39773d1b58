"""What an add does with new, changed, renamed and deleted photos."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.errors import LibraryMismatchError
from mvmr_zoo.inference import pipeline as features
from mvmr_zoo.search import PhotoLibrary


def vectors_of(folder: Path) -> dict[str, np.ndarray]:
    """Every photo's vector by file name, straight from the database."""
    with sqlite3.connect(folder / "library.sqlite") as connection:
        rows = connection.execute("SELECT path, vector FROM photos").fetchall()
    connection.close()
    return {os.fsdecode(path): np.frombuffer(vector, np.float16).astype(np.float32) for path, vector in rows}


def test_unchanged_photos_are_not_opened_again(
    library: PhotoLibrary, photo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add([photo_folder])
    monkeypatch.setattr(features, "_Preparation", None)  # any decoding would now be an error
    report = library.add([photo_folder])
    assert (report.unchanged, report.added, report.recognized, report.removed) == (12, 0, 0, 0)


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


def test_renamed_photos_are_recognized_by_content(library: PhotoLibrary, photo_folder: Path) -> None:
    library.add([photo_folder])
    before = vectors_of(library.folder)
    (photo_folder / "a").rename(photo_folder / "moved")
    report = library.add([photo_folder])
    assert (report.recognized, report.added, report.removed, report.total) == (6, 0, 6, 12)
    after = vectors_of(library.folder)
    for path, vector in before.items():
        np.testing.assert_array_equal(after[path.replace("/a/", "/moved/")], vector)


def test_a_touched_photo_keeps_its_vector(library: PhotoLibrary, photo_folder: Path) -> None:
    library.add([photo_folder])
    os.utime(photo_folder / "a" / "00.jpg", ns=(1, 1))
    report = library.add([photo_folder])
    assert (report.recognized, report.added, report.unchanged) == (1, 0, 11)


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


def test_stamps_are_read_once(library: PhotoLibrary, photo_folder: Path) -> None:
    library.add([photo_folder])
    statements: list[str] = []
    library._store._connection.set_trace_callback(statements.append)
    assert library.add([photo_folder]).unchanged == 12
    assert sum(each.startswith("SELECT path, size, mtime_ns") for each in statements) == 1
