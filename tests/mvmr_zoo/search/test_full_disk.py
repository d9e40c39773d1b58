"""A disk that fills up, a small one of its own: an add goes on once there is room; other commands say what is wrong."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mvmr_zoo.checkpoint import Checkpoint

from ...command_line import refused, run
from ...conftest import write_photos

COUNT = 70


class Disk:
    """A mounted tmpfs.

    Args:
        folder: where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.mounted = self._mount("-t", "tmpfs", "-o", "size=8k", "tmpfs")

    def resize(self, kilobytes: int) -> None:
        assert self._mount("-o", f"remount,size={kilobytes}k")

    def fill(self) -> Path:
        """A file that takes what is left."""
        path = self.folder / "filler"
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
        try:
            with suppress(OSError):  # no space left
                while True:
                    os.write(descriptor, bytes(4096))
        finally:
            os.close(descriptor)
        return path

    def unmount(self) -> None:
        if self.mounted:
            subprocess.run(["umount", self.folder], check=True)

    def _mount(self, *options: str) -> bool:
        return subprocess.run(["mount", *options, self.folder], capture_output=True).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "disk")
    if not made.mounted:
        pytest.skip("only root can mount a small disk")
    yield made
    made.unmount()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("data") / "photos", COUNT)


@pytest.mark.parametrize(
    ("kilobytes", "kept", "says"),
    [
        (20, [0], "library.sqlite cannot be written"),
        (100, [0], "library.sqlite cannot be written"),
        (210, [32, 64], "library.sqlite cannot be written"),
        (315, [COUNT], "faiss cannot be written"),
    ],
)
def test_an_add_goes_on_when_there_is_room_again(
    kilobytes: int, kept: list[int], says: str, disk: Disk, photos: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """It filled up while the database was made, in the first batch, in a later one, while the index was written."""
    library = disk.folder / "library"
    add = ("index", "add", photos, "-L", library, "--model", checkpoint.folder)
    disk.resize(kilobytes)
    done = run(*add, home=tmp_path)
    refused(done, says)
    assert "Free some disk space and run the same command again" in done.stderr
    disk.resize(8_000)
    done = run(*add, home=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    (indexed, unchanged) = map(int, re.findall(r"(\d+) (?:indexed|unchanged)", done.stdout))
    assert unchanged in kept
    assert indexed + unchanged == COUNT
    assert f"contains {COUNT} photos" in done.stdout
    assert run("index", "doctor", "-L", library, home=tmp_path).stdout == "No problems found.\n"
    assert len(list(library.glob("index-*"))) == 1


def test_a_full_disk_under_a_whole_library(disk: Disk, photos: Path, checkpoint: Checkpoint, tmp_path: Path) -> None:
    library = ("-L", disk.folder / "library")
    disk.resize(1_000)
    assert run("index", "add", photos, *library, "--model", checkpoint.folder, home=tmp_path).returncode == 0
    photo = photos / "a" / "00.jpg"
    before = run("search", photo, *library, home=tmp_path).stdout
    assert re.search(r"^ +1 +\d+ +0\.\d", before, re.MULTILINE)
    filler = disk.fill()
    for command in (("search", photo), ("index", "status"), ("index", "remove", photos / "a")):
        refused(run(*command, *library, home=tmp_path), "The disk may be full")
    filler.unlink()
    assert run("search", photo, *library, home=tmp_path).stdout == before
