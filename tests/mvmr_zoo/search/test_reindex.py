"""Moving a library to another encoder: the old vectors answer until the new ones are complete, and nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.cli import main
from mvmr_zoo.errors import DataError, LibraryError, LibraryMismatchError
from mvmr_zoo.models.catalog import DEFAULT_MODEL
from mvmr_zoo.models.loading import load
from mvmr_zoo.search import PhotoLibrary, Query
from mvmr_zoo.search import refresh as build

from ...command_line import Typist, refused
from ...conftest import make_checkpoint, write_photos
from ...forked import LIGHT, run_forked
from .test_compatibility import change_fact, facts
from .test_kill import rows
from .test_sync import vectors_of


@pytest.fixture
def filled(library: PhotoLibrary, photo_folder: Path) -> PhotoLibrary:
    """Twelve photos and a failure."""
    (photo_folder / "text.jpg").write_text("no photo")
    library.add([photo_folder])
    return library


def ids_of(folder: Path) -> dict[str, int]:
    with sqlite3.connect(folder / "library.sqlite") as connection:
        found = connection.execute("SELECT path, id FROM photos").fetchall()
    connection.close()
    return {os.fsdecode(path): id_ for path, id_ in found}


def assert_vectors_are_of(spec: str | Path, folder: Path, **output: object) -> None:
    found = vectors_of(folder)
    for path, vector in zip(found, load(spec, **output).embed(list(found)), strict=True):
        np.testing.assert_allclose(found[path], vector, atol=1e-3)


def test_vectors_are_new_and_everything_else_is_kept(
    filled: PhotoLibrary, aligned_checkpoint: Checkpoint, photo_folder: Path
) -> None:
    before, ids, failures = rows(filled.folder), ids_of(filled.folder), filled.status().failures
    with PhotoLibrary(filled.folder) as other:
        report = other.reindex(str(aligned_checkpoint.folder), dim=20)
        assert other.search(photo_folder / "a" / "00.jpg", 1, keep_query=True)[0].score > 0.999
        status = other.status()
    assert (report.embedded, report.resumed, report.forgotten, report.failures, report.total) == (12, 0, 0, [], 12)
    assert (status.model, status.output, status.dim) == (str(aligned_checkpoint.folder), "aligned", 20)
    assert (status.failures, status.index_current, status.moving_to) == (failures, True, None)
    assert len(failures) == 1
    assert ids_of(filled.folder) == ids
    assert {path: row[:-1] for path, row in rows(filled.folder).items()} == {
        path: row[:-1] for path, row in before.items()
    }
    assert_vectors_are_of(aligned_checkpoint.folder, filled.folder, dim=20)
    with PhotoLibrary(filled.folder) as other:
        assert other.examine() == []
        assert other.add([photo_folder]).unchanged == 12


def test_a_library_that_is_open_meanwhile_uses_the_new_encoder(
    filled: PhotoLibrary, other_checkpoint: Checkpoint, photo_folder: Path
) -> None:
    query = photo_folder / "a" / "00.jpg"
    with PhotoLibrary(filled.folder) as reader, PhotoLibrary(filled.folder) as writer:
        before = reader.search(query, 12, keep_query=True)
        writer.reindex(str(other_checkpoint.folder))
        after = reader.search(query, 12, keep_query=True)
        assert after[0].score > 0.999
        assert [hit.score for hit in after] != [hit.score for hit in before]
        assert after == writer.search(query, 12, keep_query=True)
    with pytest.raises(LibraryMismatchError, match="index reindex --library"):  # `filled` was opened with the old one
        filled.search(query)


def test_the_old_vectors_answer_until_all_are_there(
    filled: PhotoLibrary, other_checkpoint: Checkpoint, photo_folder: Path
) -> None:
    query = photo_folder / "a" / "00.jpg"
    before, during = filled.search(query, 5), []

    def look(done: int, total: int) -> None:
        with PhotoLibrary(filled.folder) as reader:
            during.append(reader.search(query, 5))
            assert reader.status().moving_to == str(other_checkpoint.folder)

    with PhotoLibrary(filled.folder) as library:
        library.reindex(str(other_checkpoint.folder), progress=look)
    assert len(during) >= 2
    assert all(hits == before for hits in during)


REINDEX = """
import os, signal, sys
from mvmr_zoo.search import PhotoLibrary, sync
calls = []

def die(done, total):
    calls.append(done)
    if len(calls) == 4:
        os.kill(os.getpid(), signal.SIGKILL)

sync.BATCH_SIZE = 8
with PhotoLibrary(sys.argv[1]) as library:
    library.reindex(sys.argv[2], progress=die)
"""


def test_killed_and_run_again(tmp_path: Path, checkpoint: Checkpoint, other_checkpoint: Checkpoint) -> None:
    photos, folder = write_photos(tmp_path / "photos", 120), tmp_path / "library"
    with PhotoLibrary(folder, model=str(checkpoint.folder)) as library:
        library.add([photos])
        before, hits = rows(folder), library.search(photos / "a" / "00.jpg", 5)
    words = ["-c", REINDEX, str(folder), str(other_checkpoint.folder)]
    assert run_forked(words, os.environ, LIGHT).returncode == -signal.SIGKILL
    assert rows(folder) == before
    with PhotoLibrary(folder) as library:
        assert library.search(photos / "a" / "00.jpg", 5) == hits
        assert library.status().moving_to == str(other_checkpoint.folder)
        assert library.examine() == []
        report = library.reindex(str(other_checkpoint.folder))
    assert report.resumed >= 24
    assert report.resumed + report.embedded == report.total == 120
    assert_vectors_are_of(other_checkpoint.folder, folder)


def test_another_target_begins_anew(
    filled: PhotoLibrary, other_checkpoint: Checkpoint, aligned_checkpoint: Checkpoint, photo_folder: Path
) -> None:
    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with PhotoLibrary(filled.folder) as library:
        with pytest.raises(KeyboardInterrupt):
            library.reindex(str(other_checkpoint.folder), progress=stop)
        report = library.reindex(str(aligned_checkpoint.folder))
        assert (report.embedded, report.resumed) == (12, 0)
    assert_vectors_are_of(aligned_checkpoint.folder, filled.folder)


def test_back_to_its_own_encoder_drops_what_was_begun(
    filled: PhotoLibrary, checkpoint: Checkpoint, other_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """Its own encoder under another name costs no inference, and the library goes by that name from then on."""

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    before = rows(filled.folder)
    copy = shutil.copytree(checkpoint.folder, tmp_path / "copy")
    with PhotoLibrary(filled.folder) as library:
        with pytest.raises(KeyboardInterrupt):
            library.reindex(str(other_checkpoint.folder), progress=stop)
        report = library.reindex(str(copy))
        assert (report.embedded, report.total) == (0, 12)
        assert (library.status().model, library.status().moving_to) == (str(copy), None)
    assert rows(filled.folder) == before


def test_photos_that_changed_or_broke_since(
    filled: PhotoLibrary, other_checkpoint: Checkpoint, photo_folder: Path
) -> None:
    shutil.copy(photo_folder / "a" / "02.jpg", photo_folder / "a" / "00.jpg")
    (photo_folder / "b" / "01.jpg").write_text("no photo any more")
    with PhotoLibrary(filled.folder) as library:
        report = library.reindex(str(other_checkpoint.folder))
        assert [(failure.path, failure.stage) for failure in report.failures] == [
            (os.fsencode(photo_folder / "b" / "01.jpg"), "open")
        ]
        assert (report.embedded, report.total) == (11, 11)
        assert len(library.status().failures) == 2
        assert library.add([photo_folder]).unchanged == 11  # the changed photo is known as it is now
        assert library.examine() == []
    assert_vectors_are_of(other_checkpoint.folder, filled.folder)


def test_missing_photos_stop_it_unless_they_may_be_forgotten(
    filled: PhotoLibrary, other_checkpoint: Checkpoint, photo_folder: Path, tmp_path: Path
) -> None:
    (photo_folder / "a").rename(tmp_path / "away")
    before = rows(filled.folder)
    with PhotoLibrary(filled.folder) as library:
        with pytest.raises(
            DataError, match=r"^6 photos of the library .* were not found .*00\.jpg\. .* Use --forget-missing"
        ):
            library.reindex(str(other_checkpoint.folder))
        assert rows(filled.folder) == before
        report = library.reindex(str(other_checkpoint.folder), forget_missing=True)
        assert (report.embedded, report.forgotten, report.total) == (6, 6, 6)
        assert library.examine() == []


def test_a_disk_that_is_disconnected_meanwhile(
    filled: PhotoLibrary, other_checkpoint: Checkpoint, photo_folder: Path, tmp_path: Path
) -> None:
    """All photos fail to be read: they must not be taken for damaged ones."""
    before = rows(filled.folder)

    def disconnect(done: int, total: int) -> None:
        if photo_folder.exists():
            photo_folder.rename(tmp_path / "away")

    with PhotoLibrary(filled.folder) as library, pytest.raises(DataError, match="12 photos of the library"):
        library.reindex(str(other_checkpoint.folder), progress=disconnect)
    assert rows(filled.folder) == before


def test_the_recall_that_was_chosen_is_kept(
    library: PhotoLibrary, other_checkpoint: Checkpoint, photo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "EXACT_LIMIT", 100)
    content = [path.read_bytes() for path in sorted(photo_folder.rglob("*.jpg"))]
    for number in range(300):
        (photo_folder / f"{number:03}.jpg").write_bytes(content[number % 12] + bytes([number // 12]))
    library.add([photo_folder])
    library.tune(0.5)
    with PhotoLibrary(library.folder) as other:
        other.reindex(str(other_checkpoint.folder))
        index = other.status().index
    assert index is not None
    assert index.tuning is not None
    assert index.tuning.target == 0.5


def test_an_encoder_that_is_not_at_hand(
    photo_folder: Path, tmp_path: Path, zoo: Path, other_checkpoint: Checkpoint
) -> None:
    """Searching by id goes on, a folder of it is recognized, and the message says how to move."""
    made, folder = make_checkpoint(zoo / "mine", seed=2), tmp_path / "library"
    with PhotoLibrary(folder, model="mine") as library:
        library.add([photo_folder])
        query = photo_folder / "a" / "00.jpg"
        hits = library.search(query, 5)
    away = made.folder.rename(tmp_path / "away")
    with PhotoLibrary(folder) as library:
        assert len(library.search(Query(like_ids=[1]), 5)) == 5
        assert library.add([photo_folder]).unchanged == 12
        with pytest.raises(LibraryError, match=f"index reindex --library {folder}` to switch the library to") as caught:
            library.search(query)
        assert "No model is named 'mine'" in str(caught.value)
        assert DEFAULT_MODEL in str(caught.value)
        assert "\n" not in str(caught.value)
    with PhotoLibrary(folder, model=str(away)) as library:
        assert library.search(query, 5) == hits
    with PhotoLibrary(folder) as library:
        assert library.reindex(str(other_checkpoint.folder)).embedded == 12
        assert library.search(query, 1, keep_query=True)[0].score > 0.999


def test_a_new_photo_needs_the_encoder(filled: PhotoLibrary, photo_folder: Path, zoo: Path) -> None:
    change_fact(filled.folder, "model", "gone")
    before, failures = rows(filled.folder), filled.status().failures
    (photo_folder / "new.jpg").write_bytes((photo_folder / "a" / "00.jpg").read_bytes() + b"\0")
    with PhotoLibrary(filled.folder) as library:
        with pytest.raises(LibraryError, match="index reindex --library"):
            library.add([photo_folder])
        assert library.status().failures == failures
    assert rows(filled.folder) == before


def test_adding_keeps_the_librarys_own_encoder(filled: PhotoLibrary, photo_folder: Path) -> None:
    bound = facts(filled.folder)
    shutil.copytree(photo_folder, photo_folder / "more", ignore=shutil.ignore_patterns("b"))
    (photo_folder / "more" / "a" / "new.jpg").write_bytes((photo_folder / "a" / "00.jpg").read_bytes() + b"\0")
    with PhotoLibrary(filled.folder) as library:
        assert library.add([photo_folder]).added == 1
    after = facts(filled.folder)
    assert {name: after[name] for name in ("model", "weights", "preprocess", "output", "dim")} == {
        name: bound[name] for name in ("model", "weights", "preprocess", "output", "dim")
    }


def test_the_commands(
    typist: Typist, filled: PhotoLibrary, checkpoint: Checkpoint, other_checkpoint: Checkpoint, photo_folder: Path
) -> None:
    def mvmr(*words: object) -> subprocess.CompletedProcess[str]:
        return typist(main, "mvmr-zoo", *words, "--library", filled.folder)

    advice = f"run `mvmr-zoo index reindex --library {filled.folder}` to switch to the default encoder"
    assert f"{advice}, {DEFAULT_MODEL}\n" in mvmr("index", "status").stdout
    status = json.loads(mvmr("index", "status", "--json").stdout)
    assert (status["default_model"], status["moving_to"]) == (DEFAULT_MODEL, None)
    refused(mvmr("index", "reindex", "--model", "/nowhere"), "No model is named '/nowhere'")
    refused(mvmr("index", "reindex", "--model", other_checkpoint.folder, "--model-output", "aligned"), "only features")
    refused(mvmr("index", "add", photo_folder, "--model", other_checkpoint.folder), "index reindex --library")
    (photo_folder / "a" / "00.jpg").unlink()
    refused(mvmr("index", "reindex", "--model", other_checkpoint.folder), "1 photo of the library")
    unfinished = mvmr("index", "status").stdout
    assert f"run `mvmr-zoo index reindex --library {filled.folder} --model " in unfinished
    assert "to finish switching to another encoder" in unfinished
    done = mvmr("index", "reindex", "--model", other_checkpoint.folder, "--forget-missing")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "11 photos embedded, 0 failed, 1 missing photo removed.",
        f"The library {filled.folder} now has 11 photos and the encoder {other_checkpoint.folder}.",
    ]
    assert mvmr("search", photo_folder / "a" / "02.jpg").returncode == 0
    change_fact(filled.folder, "model", DEFAULT_MODEL)
    assert "to switch to the default encoder" not in mvmr("index", "status").stdout
