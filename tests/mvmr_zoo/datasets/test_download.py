"""Data sets fetched from a real server on loopback."""

from __future__ import annotations

import hashlib
import io
import socket
import sys
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvmr_zoo.datasets import open_splits
from mvmr_zoo.datasets.download import SOURCES, Archive, Source
from mvmr_zoo.errors import DataError, MissingDependencyError

from .voc_folder import write_voc


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, and keeps the paths asked for."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        super().do_GET()

    def copyfile(self, source: Any, outputfile: Any) -> None:
        try:
            super().copyfile(source, outputfile)
        except ConnectionError:  # who asks only for where it leads hangs up
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class Server:
    """Archives on loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.asked: list[str] = []
        self.http.asked = self.asked

    def archive(self, name: str) -> Archive:
        """The record of a file that it serves."""
        md5 = hashlib.md5((self.folder / name).read_bytes(), usedforsecurity=False).hexdigest()
        return Archive(f"http://127.0.0.1:{self.http.server_port}/{name}", md5)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "served").mkdir()
    server = Server(tmp_path / "served")
    thread = threading.Thread(target=server.http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def cifar10(server: Server, monkeypatch: pytest.MonkeyPatch) -> Source:
    """CIFAR-10 in small, in the table in place of the authors'."""
    with tarfile.open(server.folder / "cifar-10-binary.tar.gz", "w:gz") as tar:
        for stem in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
            records = np.random.default_rng(len(stem)).integers(256, size=(4, 3073), dtype=np.uint8)
            records[:, 0] = np.arange(4)
            add(tar, f"cifar-10-batches-bin/{stem}.bin", records.tobytes())
        add(tar, "cifar-10-batches-bin/batches.meta.txt", "\n".join("abcdefghij").encode())
    source = Source("cifar-10-batches-bin", (server.archive("cifar-10-binary.tar.gz"),))
    monkeypatch.setitem(SOURCES, "cifar10", source)
    return source


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def names(root: Path) -> list[str]:
    """What lies in a folder, without hidden files that are no scratch folder."""
    return sorted(path.name for path in root.iterdir() if not path.name.endswith(".lock"))


def test_fetched_once(cifar10: Source, server: Server, tmp_path: Path) -> None:
    root = tmp_path / "new" / "data"
    with pytest.raises(DataError, match=r"data_batch_1\.bin is missing.*Use `--download` to fetch it\.$"):
        open_splits("cifar10", root)
    assert not server.asked
    splits = open_splits("cifar10", root, download=True)
    assert (len(splits.train), len(splits.test)) == (20, 4)
    assert splits.test.labels.tolist() == [0, 1, 2, 3]
    assert set(server.asked) == {"/cifar-10-binary.tar.gz"}
    assert names(root) == ["cifar-10-batches-bin"]
    server.asked.clear()
    assert open_splits("cifar10", root, download=True).test.fingerprint == splits.test.fingerprint
    assert not server.asked


def test_voc07_in_two_archives(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = write_voc(tmp_path / "voc")
    devkit = written / "VOCdevkit" / "VOC2007"
    for name, part in (("one.tar", "trainval"), ("two.tar", "test")):
        odd = part == "trainval"
        with tarfile.open(server.folder / name, "w") as tar:
            for path in sorted(devkit.rglob("*.*")):
                in_part = int(path.stem) % 2 == odd if path.stem.isdigit() else path.stem.endswith(part)
                if in_part:
                    tar.add(path, path.relative_to(written))
    source = Source("VOCdevkit/VOC2007", (server.archive("one.tar"), server.archive("two.tar")))
    monkeypatch.setitem(SOURCES, "voc07", source)
    other = tmp_path / "data" / "VOCdevkit" / "VOC2012"
    other.mkdir(parents=True)
    splits = open_splits("voc07", tmp_path / "data", download=True)
    assert splits.test.fingerprint == open_splits("voc07", written).test.fingerprint
    assert names(tmp_path / "data" / "VOCdevkit") == ["VOC2007", "VOC2012"]


def test_other_bytes_than_expected(
    cifar10: Source, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = Source(cifar10.folder, (Archive(cifar10.archives[0].url, "0" * 32),))
    monkeypatch.setitem(SOURCES, "cifar10", wrong)
    with pytest.raises(
        DataError,
        match=r"cifar-10-binary\.tar\.gz could not be downloaded .*the MD5 of the downloaded file is not .*000",
    ):
        open_splits("cifar10", tmp_path / "data", download=True)
    assert names(tmp_path / "data") == []
    monkeypatch.setitem(SOURCES, "cifar10", cifar10)
    assert len(open_splits("cifar10", tmp_path / "data", download=True).test) == 4


def test_a_transfer_that_was_cut(cifar10: Source, server: Server, tmp_path: Path) -> None:
    served = server.folder / "cifar-10-binary.tar.gz"
    whole = served.read_bytes()
    served.write_bytes(whole[:1000])
    with pytest.raises(DataError, match="MD5 of the downloaded file"):
        open_splits("cifar10", tmp_path / "data", download=True)
    served.write_bytes(whole)
    (tmp_path / "data" / served.name).write_bytes(whole[:1000])  # as a killed process leaves it
    assert len(open_splits("cifar10", tmp_path / "data", download=True).test) == 4
    assert names(tmp_path / "data") == ["cifar-10-batches-bin"]


def test_a_dead_server_and_a_missing_file(
    cifar10: Source, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (server.folder / "cifar-10-binary.tar.gz").unlink()
    with pytest.raises(DataError, match=r"could not be downloaded .*HTTP Error 404.*Check the network") as caught:
        open_splits("cifar10", tmp_path / "data", download=True)
    assert "\n" not in str(caught.value)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/x.tar.gz"
        monkeypatch.setitem(SOURCES, "cifar10", Source(cifar10.folder, (Archive(address, "0" * 32),)))
        with pytest.raises(DataError, match="refused"):
            open_splits("cifar10", tmp_path / "data", download=True)
    assert names(tmp_path / "data") == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk(cifar10: Source, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cifar-10-binary.tar.gz").symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"could not be downloaded .*No space left on device.*free disk space"):
        open_splits("cifar10", tmp_path / "data", download=True)


def test_killed_while_unpacking(cifar10: Source, server: Server, tmp_path: Path) -> None:
    root = tmp_path / "data"
    half = root / ".mvmr-zoo-scratch-killed" / "cifar-10-batches-bin"
    half.mkdir(parents=True)
    (half / "data_batch_1.bin").write_bytes(bytes(3073))
    archive = server.folder / "cifar-10-binary.tar.gz"
    (root / archive.name).write_bytes(archive.read_bytes())
    assert len(open_splits("cifar10", root, download=True).train) == 20
    assert not server.asked  # the archive was whole
    assert not (root / archive.name).exists()


def test_an_archive_that_does_not_unpack_leaves_no_half_data_set(
    cifar10: Source, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = server.folder / "cifar-10-binary.tar"
    with tarfile.open(archive, "w") as tar:
        for number in (1, 2):
            add(tar, f"cifar-10-batches-bin/data_batch_{number}.bin", bytes(3073))
    archive.write_bytes(archive.read_bytes()[:6000])  # in the middle of the second file
    source = Source(cifar10.folder, (server.archive(archive.name),))
    monkeypatch.setitem(SOURCES, "cifar10", source)
    with pytest.raises(
        DataError, match=r"cifar10 could not be unpacked to .*cifar-10-batches-bin: .*enough free space"
    ):
        open_splits("cifar10", tmp_path / "data", download=True)
    assert names(tmp_path / "data") == ["cifar-10-binary.tar"]


def test_half_a_data_set_is_neither_taken_nor_overwritten(cifar10: Source, server: Server, tmp_path: Path) -> None:
    half = tmp_path / "data" / "cifar-10-batches-bin"
    half.mkdir(parents=True)
    (half / "data_batch_1.bin").write_bytes(bytes(3073))
    for download in (False, True):
        with pytest.raises(DataError, match=r"data_batch_2\.bin is missing.* Move .*cifar-10-batches-bin away and"):
            open_splits("cifar10", tmp_path / "data", download=download)
    assert not server.asked
    assert names(half) == ["data_batch_1.bin"]
    half.rename(tmp_path / "away")
    assert len(open_splits("cifar10", tmp_path / "data", download=True).train) == 20


def test_below_a_folder_of_its_name(cifar10: Source, server: Server, tmp_path: Path) -> None:
    open_splits("cifar10", tmp_path / "data" / "cifar10", download=True)
    server.asked.clear()
    assert len(open_splits("cifar10", tmp_path / "data", download=True).test) == 4
    assert not server.asked


def test_imagenet_is_to_be_got_by_hand(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"imagenet cannot be downloaded automatically\. Download it from image-net\.org and .* train and",
    ):
        open_splits("imagenet", tmp_path, download=True)
    with pytest.raises(DataError, match=r"one subfolder per class\.$"):
        open_splits("imagenet", tmp_path)


def test_half_an_imagenette_is_not_split(tmp_path: Path, photo_folder: Path) -> None:
    (tmp_path / "data" / "imagenette2").mkdir(parents=True)
    photo_folder.rename(tmp_path / "data" / "imagenette2" / "train")
    with pytest.raises(DataError, match=r"does not contain imagenette\. Expected the folders train and val"):
        open_splits("imagenette", tmp_path / "data")


def test_without_torchvision(cifar10: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.datasets.utils", None)  # as if not installed
    with pytest.raises(
        MissingDependencyError, match=r"torchvision is required to download a data set.*mvmr-zoo\[cpu\]"
    ):
        open_splits("cifar10", tmp_path / "data", download=True)
    assert not (tmp_path / "data").exists()
