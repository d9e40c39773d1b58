"""STL10 and CIFAR in files laid out as their authors describe them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mvmr_zoo.datasets import open_images
from mvmr_zoo.errors import DataError


def noise(count: int, px: int, seed: int = 0) -> NDArray[np.uint8]:
    """`(count, px, px, 3)`."""
    return np.random.default_rng(seed).integers(256, size=(count, px, px, 3), dtype=np.uint8)


@pytest.fixture
def stl10(tmp_path: Path) -> Path:
    base = tmp_path / "stl10_binary"
    base.mkdir()
    (base / "class_names.txt").write_text("airplane\nbird\ncar\ncat\ndeer\ndog\nhorse\nmonkey\nship\ntruck\n")
    for stem, count, seed in (("train", 3, 0), ("unlabeled", 2, 1)):
        noise(count, 96, seed).transpose(0, 3, 2, 1).tofile(base / f"{stem}_X.bin")  # column-major, channel first
    np.array([1, 10, 5], np.uint8).tofile(base / "train_y.bin")
    return tmp_path


@pytest.fixture
def cifar10(tmp_path: Path) -> Path:
    base = tmp_path / "cifar-10-batches-bin"
    base.mkdir()
    (base / "batches.meta.txt").write_text("\n".join("abcdefghij") + "\n\n")
    for number in range(1, 6):
        pixels = noise(2, 32, number).transpose(0, 3, 1, 2).reshape(2, -1)
        labels = np.array([[number], [0]], np.uint8)
        np.concatenate([labels, pixels], axis=1).tofile(base / f"data_batch_{number}.bin")
    return tmp_path


def test_stl10(stl10: Path) -> None:
    images = open_images("stl10:train+unlabeled", stl10)
    assert images.labels.tolist() == [0, 9, 4, -1, -1]
    assert images.class_names[9] == "truck"
    np.testing.assert_array_equal(images.image(1), noise(3, 96)[1])
    np.testing.assert_array_equal(images.image(4), noise(2, 96, 1)[1])
    assert open_images("stl10", stl10).labels.tolist() == [0, 9, 4]
    assert open_images("stl10:unlabeled", stl10 / "stl10_binary").labels.tolist() == [-1, -1]


def test_cifar10(cifar10: Path) -> None:
    images = pickle.loads(pickle.dumps(open_images("cifar10", cifar10)))
    assert images.labels.tolist() == [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]
    np.testing.assert_array_equal(images.image(5), noise(2, 32, 3)[1])
    assert images.class_names == list("abcdefghij")


def test_cifar100_by_fine_and_by_coarse_classes(tmp_path: Path) -> None:
    pixels = noise(3, 32).transpose(0, 3, 1, 2).reshape(3, -1)
    labels = np.array([[1, 50], [0, 99], [1, 7]], np.uint8)
    np.concatenate([labels, pixels], axis=1).tofile(tmp_path / "train.bin")
    (tmp_path / "fine_label_names.txt").write_text("\n".join(f"fine{i}" for i in range(100)))
    (tmp_path / "coarse_label_names.txt").write_text("wild\ntame")
    fine, coarse = open_images("cifar100", tmp_path), open_images("cifar20:train", tmp_path)
    assert fine.labels.tolist() == [50, 99, 7]
    assert coarse.labels.tolist() == [1, 0, 1]
    assert coarse.class_names == ["wild", "tame"]
    assert fine.fingerprint == coarse.fingerprint
    np.testing.assert_array_equal(fine.image(2), noise(3, 32)[2])


def test_bad_files(stl10: Path, cifar10: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no split 'tran'; expected one of train, test"):
        open_images("stl10:tran", stl10)
    (stl10 / "stl10_binary" / "train_y.bin").write_bytes(bytes([1, 2]))
    with pytest.raises(DataError, match="2 labels for 3 images"):
        open_images("stl10", stl10)
    with pytest.raises(DataError, match=r"test_X\.bin is missing. Download the binary version"):
        open_images("stl10:test", stl10)
    batch = cifar10 / "cifar-10-batches-bin" / "data_batch_2.bin"
    batch.write_bytes(batch.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"data_batch_2\.bin is 6145 bytes; expected a positive multiple of 3073"):
        open_images("cifar10", cifar10)
    batch.write_bytes(bytes([99]) * 3073)
    with pytest.raises(DataError, match="label 99; expected labels 0 to 9"):
        open_images("cifar10", cifar10)
    with pytest.raises(DataError, match="missing"):
        open_images("cifar100", tmp_path / "nowhere")
