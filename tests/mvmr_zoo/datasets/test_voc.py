"""PASCAL VOC 2007 in its authors' layout."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from mvmr_zoo.datasets import VocImages, open_splits
from mvmr_zoo.datasets.voc import ABSENT, DIFFICULT, PRESENT, voc07_images
from mvmr_zoo.errors import DataError

from .voc_folder import CLASSES, SIZE, how, write_voc


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that nobody writes to."""
    return write_voc(tmp_path_factory.mktemp("voc"))


@pytest.fixture
def voc(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written, tmp_path / "data")


def test_presence_is_what_the_class_files_say(written: Path) -> None:
    splits = open_splits("voc07", written)
    assert splits.several
    train, test = splits.train, splits.test
    assert isinstance(train, VocImages)
    assert isinstance(test, VocImages)
    assert train.class_names == test.class_names == CLASSES == sorted(CLASSES)
    marks = {"shown": PRESENT, "difficult": DIFFICULT, "absent": ABSENT}
    expected = [[marks[how(row, column)] for column in range(20)] for row in range(40)]
    np.testing.assert_array_equal(train.presence, expected)
    assert train.presence.dtype == np.int64
    assert (train.presence == PRESENT).sum(axis=0).min() >= 4
    assert (test.presence == PRESENT).sum(axis=0).min() >= 2
    assert (train.presence == ABSENT).any(axis=0).all()
    assert (train.presence == DIFFICULT).any()
    assert set(train.labels.tolist()) == {-1}
    assert len(train.labels) == len(train) == 40


def test_marks_are_those_of_the_authors(voc: Path) -> None:
    lists = voc / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main"
    (lists / "trainval.txt").write_text("000003\n000001\n000005\n")
    for name in CLASSES:
        (lists / f"{name}_trainval.txt").write_text("000001 -1\n000003  1\n000005  0\n")
    assert voc07_images(voc, "trainval").presence[:, 7].tolist() == [1, 0, -1]


def test_a_photo_shows_what_is_said_of_it(written: Path) -> None:
    images = pickle.loads(pickle.dumps(voc07_images(written, "trainval")))
    assert images.name == "voc07:trainval"
    assert images.describe(1) == "000003.jpg"
    assert images.image(1).size == SIZE
    squares = np.stack([np.asarray(images.image(row))[30, 10].astype(int) for row in range(40)])  # the place of "bus"
    nearest = np.argsort(np.abs(squares - (115, 230, 0)).sum(axis=1))
    shown = np.flatnonzero(images.presence[:, 5] == PRESENT)
    assert set(nearest[: len(shown)]) == set(shown)


def test_the_fingerprint_is_names_and_contents_not_labels(voc: Path) -> None:
    base = voc / "VOCdevkit" / "VOC2007"
    before = voc07_images(voc, "test").fingerprint
    assert before != voc07_images(voc, "trainval").fingerprint
    path = base / "ImageSets" / "Main" / "dog_test.txt"
    path.write_text(path.read_text().replace(" -1", "  1"))
    assert voc07_images(voc, "test").fingerprint == before
    shutil.copy(base / "JPEGImages" / "000004.jpg", base / "JPEGImages" / "000002.jpg")
    assert voc07_images(voc, "test").fingerprint != before


@pytest.mark.parametrize("inner", ["", "VOCdevkit", "VOCdevkit/VOC2007"])
def test_where_it_may_lie(voc: Path, tmp_path: Path, inner: str) -> None:
    assert len(open_splits("voc07", voc / inner).test) == 40
    (tmp_path / "all").mkdir()
    (voc / inner).rename(tmp_path / "all" / "voc07")
    assert len(open_splits("voc07", tmp_path / "all").test) == 40


def test_other_sets_show_one_class(photo_folder: Path) -> None:
    assert not open_splits(f"folder:{photo_folder}").several


def test_bad_files(voc: Path, tmp_path: Path) -> None:
    base = voc / "VOCdevkit" / "VOC2007"
    lists = base / "ImageSets" / "Main"
    with pytest.raises(DataError, match="no split 'train'; expected one of trainval, test"):
        voc07_images(voc, "train")
    with pytest.raises(
        DataError, match=r"nowhere does not contain VOC 2007. Expected VOCdevkit/VOC2007.*Use `--download` to fetch it"
    ):
        open_splits("voc07", tmp_path / "nowhere")
    for path, content, message in (
        ("trainval.txt", None, r"trainval\.txt cannot be read: no such file\. Download the VOC 2007 .* archives again"),
        ("trainval.txt", "\n", r"trainval\.txt lists no photos\. Download the VOC"),
        ("trainval.txt", b"\xff\xfe", r"trainval\.txt is not text"),
        ("dog_trainval.txt", None, r"dog_trainval\.txt cannot be read: no such file"),
        (
            "dog_trainval.txt",
            "000001  2\n",
            r"dog_trainval\.txt contains the line '000001  2'; expected a photo number followed by 1",
        ),
        ("dog_trainval.txt", "000001\n", r"dog_trainval\.txt contains the line '000001'; expected"),
    ):
        refused_with(lists / path, content, message, voc)
    dog = (lists / "dog_trainval.txt").read_text()
    refused_with(lists / "dog_trainval.txt", dog + "000002 1\n", r"dog_trainval\.txt and .*lists photo 000002", voc)
    refused_with(lists / "dog_trainval.txt", dog.split("\n", 1)[1], r"trainval\.txt lists photo 000001", voc)
    (base / "JPEGImages" / "000005.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 40 photos are missing, for example .*000005\.jpg\. Download the VOC"):
        voc07_images(voc, "trainval")
    shutil.rmtree(base / "JPEGImages")
    with pytest.raises(DataError, match=r"JPEGImages cannot be read: no such file"):
        voc07_images(voc, "trainval")


def refused_with(path: Path, content: str | bytes | None, message: str, root: Path) -> None:
    """A file is refused with other content, or where it is missing; it is as before afterwards."""
    before = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError, match=message):
        voc07_images(root, "trainval")
    path.write_bytes(before)
