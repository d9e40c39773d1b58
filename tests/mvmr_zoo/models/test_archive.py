from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

import mvmr_zoo
from mvmr_zoo.checkpoint import Checkpoint, read_checkpoint
from mvmr_zoo.errors import CheckpointError, ConfigError
from mvmr_zoo.models.archive import bundle, unbundle

from ...conftest import make_checkpoint


@pytest.fixture
def tar(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    bundle(checkpoint, tmp_path / "tiny.tar")
    return tmp_path / "tiny.tar"


def test_round_trip(checkpoint: Checkpoint, tar: Path, zoo: Path) -> None:
    assert unbundle(tar).folder == zoo / "tiny"
    assert mvmr_zoo.load("tiny").weights_digest == checkpoint.weights_digest
    assert read_checkpoint(zoo / "tiny").config == checkpoint.config
    assert sorted(path.name for path in zoo.iterdir()) == ["tiny"]
    assert unbundle(tar).folder == zoo / "tiny"  # again: it is there already


def test_the_same_folder_gives_the_same_bytes(checkpoint: Checkpoint, tar: Path, tmp_path: Path) -> None:
    bundle(checkpoint, tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == tar.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.tar", "tiny.tar"]


def test_another_model_of_the_same_name_is_kept(tar: Path, zoo: Path) -> None:
    other = make_checkpoint(zoo / "tiny", seed=7)
    with pytest.raises(ConfigError, match="A different tiny, with other weights"):
        unbundle(tar)
    assert read_checkpoint(zoo / "tiny") == other


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Callable[[tarfile.TarFile], None]:
    def add(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        info.size = 4 if kind == tarfile.REGTYPE else 0
        tar.addfile(info, io.BytesIO(b"evil"))

    return add


@pytest.mark.parametrize(
    "add",
    [
        member("../escaped.txt"),
        member("/escaped.txt"),
        member("tiny/../../escaped.txt"),
        member("tiny/sub/config.json"),
        member("tiny/run.py"),
        member("../config.json"),
        member(".hidden/config.json"),
        member("tiny/head.safetensors", tarfile.SYMTYPE, "/etc/passwd"),
        member("tiny/head.safetensors", tarfile.LNKTYPE, "tiny/config.json"),
        member("tiny/head.safetensors", tarfile.FIFOTYPE),
        member("tiny/head.safetensors", tarfile.CHRTYPE),
        member("tiny", tarfile.DIRTYPE),
    ],
)
def test_members_outside_the_folder(
    tar: Path, zoo: Path, tmp_path: Path, add: Callable[[tarfile.TarFile], None]
) -> None:
    with tarfile.open(tar, "a") as opened:
        add(opened)
    with pytest.raises(CheckpointError, match="is not a regular file of a checkpoint folder"):
        unbundle(tar)
    assert not zoo.exists()
    outside = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert outside == ["tiny.tar"]


def test_files_that_are_not_bundles(checkpoint: Checkpoint, tar: Path, zoo: Path, tmp_path: Path) -> None:
    data = tar.read_bytes()
    half, text, other = tmp_path / "half.tar", tmp_path / "text.tar", tmp_path / "two.tar"
    half.write_bytes(data[: len(data) // 2])
    text.write_text("not a tar file")
    other.write_bytes(data)
    with tarfile.open(other, "a") as opened:
        member("elsewhere/config.json")(opened)
    for path in (half, text, other):
        with pytest.raises(CheckpointError, match=path.name):
            unbundle(path)
    twice = tmp_path / "twice.tar"
    twice.write_bytes(data)
    with tarfile.open(twice, "a") as opened:
        member("tiny/config.json")(opened)
    with pytest.raises(CheckpointError, match="twice"):
        unbundle(twice)
    assert not zoo.exists()


def test_an_altered_model_is_refused(checkpoint: Checkpoint, tar: Path, zoo: Path) -> None:
    weights = (checkpoint.folder / "model.safetensors").read_bytes()
    data = tar.read_bytes()
    at = data.index(weights) + len(weights) - 1
    tar.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(CheckpointError, match=r"tiny\.tar: tiny/model\.safetensors has SHA-256"):
        unbundle(tar)
    assert not zoo.exists()


@pytest.mark.parametrize(
    "headers",
    [
        {"size": "99999999999999999999"},
        {"GNU.sparse.map": "1,2,x"},
        {"GNU.sparse.size": "x"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"},
    ],
)
def test_wrong_headers(tmp_path: Path, zoo: Path, headers: dict[str, str]) -> None:
    path = tmp_path / "odd.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as opened:
        info = tarfile.TarInfo("tiny/config.json")
        info.pax_headers, info.size = headers, 4
        opened.addfile(info, io.BytesIO(b"evil"))
    with pytest.raises(CheckpointError, match=r"odd\.tar"):
        unbundle(path)
    assert not zoo.exists()


def test_another_folder_is_not_replaced(tar: Path, zoo: Path) -> None:
    (zoo / "tiny").mkdir(parents=True)
    (zoo / "tiny" / "thesis.txt").write_text("precious")
    with pytest.raises(CheckpointError, match=r"is not a checkpoint folder\. It was not changed"):
        unbundle(tar)
    assert (zoo / "tiny" / "thesis.txt").read_text() == "precious"


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header("tiny/config.json", -1024) + bytes(1024), "gives a size of -1,024 bytes"),
        (header("tiny/config.json", 4) + bytes(512) + header("tiny/graph.onnx", -512), "gives a size of -512 bytes"),
        (header("tiny/config.json", 1 << 40) + bytes(1024), "gives a size of 1,099,511,627,776 bytes"),
        (header("././@LongLink", 1 << 40, tarfile.GNUTYPE_LONGNAME) + bytes(1024), "LongLink' is not a regular file"),
        (header("././@LongLink", -512, tarfile.GNUTYPE_LONGNAME) + bytes(1024), "LongLink' is not a regular file"),
        (header("././@LongLink", 0, tarfile.GNUTYPE_LONGNAME) * 3000, "LongLink' is not a regular file"),
        (header("tiny/config.json", 0, tarfile.GNUTYPE_SPARSE) + bytes(1024), "is not a regular file"),
        ((header("tiny/config.json", 4) + bytes(512)) * 20, "contains more files than a checkpoint folder can have"),
    ],
)
def test_crafted_headers(tmp_path: Path, zoo: Path, content: bytes, message: str) -> None:
    path = tmp_path / "crafted.tar"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        unbundle(path)
    assert not zoo.exists()
