from __future__ import annotations

import time
from pathlib import Path

import pytest

from demo.indexing import Indexing, Progress
from demo.searcher import Searcher
from mvmr_zoo import PhotoLibrary
from mvmr_zoo.errors import DataError
from mvmr_zoo.search import AddReport
from mvmr_zoo.search.lock import writing

from ..conftest import write_photos


def until(indexing: Indexing, phase: str, timeout_s: float = 60) -> Progress:
    end = time.monotonic() + timeout_s
    while indexing.progress.phase != phase:
        assert time.monotonic() < end, indexing.progress
        time.sleep(0.005)
    return indexing.progress


def test_folder_is_indexed_with_failures(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 10)
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    finished: list[int] = []
    indexing = Indexing(tmp_path / "library", None, finished=lambda: finished.append(1))
    assert indexing.progress == Progress()
    indexing.start(f"  {photos}  ")
    assert indexing.progress.is_active or indexing.progress.phase == "done"
    report = until(indexing, "done").report
    assert report is not None
    assert (report.found, report.added, len(report.failures), finished) == (11, 10, 1, [1])
    indexing.start(str(photos))
    again = until(indexing, "done").report
    assert again is not None
    assert (again.unchanged, again.added) == (10, 0)


def test_stopped_run_is_resumed(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 160)
    indexing = Indexing(tmp_path / "library", None)
    indexing.start(str(photos))
    until(indexing, "running")
    while indexing.progress.done == 0 and indexing.progress.phase == "running":
        time.sleep(0.002)
    indexing.stop()
    indexing.stop()
    stopped = until(indexing, "stopped")
    with PhotoLibrary(tmp_path / "library") as library:
        kept = library.status().photos
    assert 0 < kept < 160
    assert stopped.total == 160
    indexing.start(str(photos))
    report = until(indexing, "done").report
    assert report is not None
    assert (report.unchanged, report.added) == (kept, 160 - kept)
    indexing.stop()
    assert indexing.progress.phase == "done"


def test_one_photo_is_singular() -> None:
    from demo.tabs.index import _progress_text

    report = AddReport(found=1, unchanged=0, added=1, recognized=0, removed=0, failures=[], total=1)
    assert "/a: 1 photo found, 1 indexed" in _progress_text(Progress(phase="done", folder="/a", report=report))
    assert "1 of 1 photo in /a" in _progress_text(Progress(phase="running", folder="/a", done=1, total=1))
    assert "1 of 2,000 photos in /a" in _progress_text(Progress(phase="stopped", folder="/a", done=1, total=2_000))


def test_library_can_be_searched_during_indexing(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 160)
    searcher = Searcher(tmp_path / "library", None, uploads=tmp_path)
    indexing = Indexing(tmp_path / "library", None)
    seen = set()
    try:
        indexing.start(str(photos))
        while indexing.progress.is_active:
            seen.add(searcher.status().photos)
            if examples := searcher.examples(1):
                assert searcher.query_from_id(examples[0].id).ids == (examples[0].id,)
        assert searcher.status().photos == 160
        assert len(seen) > 2
    finally:
        searcher.close()


def test_only_one_run_at_a_time(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 100)
    indexing = Indexing(tmp_path / "library", None)
    indexing.start(str(photos))
    with pytest.raises(DataError, match="is still being indexed"):
        indexing.start(str(photos))
    indexing.stop()
    indexing.wait()
    assert not indexing.progress.is_active


@pytest.mark.parametrize(("folder", "message"), [("", "No folder was given"), ("/no/such", "is not a folder")])
def test_invalid_folders_are_rejected(tmp_path: Path, folder: str, message: str) -> None:
    indexing = Indexing(tmp_path / "library", None)
    with pytest.raises(DataError, match=message):
        indexing.start(folder)
    assert indexing.progress.phase == "idle"


def test_failed_runs_report_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mvmr_zoo.search.lock.PATIENCE_S", 0.1)
    (tmp_path / "empty").mkdir()
    indexing = Indexing(tmp_path / "library", None)
    indexing.start(str(tmp_path / "empty"))
    assert "No photos found in" in until(indexing, "failed").error
    photos = write_photos(tmp_path / "photos", 3)
    with writing(tmp_path / "library"):
        indexing.start(str(photos))
        assert "is being changed by process" in until(indexing, "failed").error
    indexing.start(str(photos))
    until(indexing, "done")


def test_remaining_time() -> None:
    assert Progress(phase="running", done=20, total=100, per_s=4.0).left_s == 20
    assert Progress(phase="running", done=20, total=100).left_s is None
