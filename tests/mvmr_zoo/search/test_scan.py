"""Which files of which folders are photos of a library."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from mvmr_zoo.errors import DataError
from mvmr_zoo.search import PhotoLibrary

from ...conftest import write_photos


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


def test_two_folders_and_a_folder_within_a_folder(library: PhotoLibrary, photo_folder: Path, tmp_path: Path) -> None:
    other = write_photos(tmp_path / "other", 3)
    assert library.add([photo_folder, other]).total == 15
    assert library.add([photo_folder / "a"]).unchanged == 6
    (other / "a" / "00.jpg").unlink()
    assert library.add([photo_folder]).total == 15
    assert library.add([other]).total == 14


def test_a_folder_of_which_only_a_neighbor_shares_the_name(library: PhotoLibrary, tmp_path: Path) -> None:
    one, two = write_photos(tmp_path / "trip", 2), write_photos(tmp_path / "trip2", 2)
    library.add([one, two])
    shutil.rmtree(two)
    two.mkdir()
    assert library.add([one]).total == 4
    with pytest.raises(DataError, match="contains no photos, but the library has 2 photos"):
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
        with pytest.raises(DataError, match="permission denied"):
            library.add([photo_folder])
    finally:
        os.seteuid(0)
    assert library.status().photos == 12
