from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import pytest
from PIL import Image

from mvmr_zoo.datasets import image_folder, open_images
from mvmr_zoo.errors import DataError, ImageError


def test_a_subfolder_is_a_class(photo_folder: Path) -> None:
    (photo_folder / "a" / "deeper").mkdir()
    (photo_folder / "a" / "00.jpg").rename(photo_folder / "a" / "deeper" / "00.jpg")
    (photo_folder / "a" / "notes.txt").write_text("no photo")
    Image.new("RGB", (9, 9)).save(photo_folder / "without-class.png")
    images = open_images(str(photo_folder))
    assert images.class_names == ["a", "b"]
    assert len(images) == 12
    assert images.labels.tolist() == [0] * 6 + [1] * 6
    assert images.name == f"{photo_folder.parent.name}/photos"
    assert "a/deeper/00.jpg" in [images.describe(i) for i in range(12)]


def test_a_flat_folder_has_no_classes(photo_folder: Path) -> None:
    images = open_images(f"folder:{photo_folder / 'a'}")
    assert images.class_names == []
    assert set(images.labels.tolist()) == {-1}
    assert len(images) == 6


def test_images_of_all_modes_come_as_rgb(tmp_path: Path) -> None:
    for number, mode in enumerate(("1", "L", "LA", "P", "RGBA", "CMYK", "I;16")):
        (tmp_path / "x").mkdir(exist_ok=True)
        suffix = "tif" if mode == "CMYK" else "png"
        Image.new(mode, (10 + number, 30)).save(tmp_path / "x" / f"{number}.{suffix}")
    images = image_folder(tmp_path)
    assert [images.image(i).mode for i in range(len(images))] == ["RGB"] * 7
    assert [images.image(i).size for i in range(2)] == [(10, 30), (11, 30)]


def test_the_fingerprint_is_names_and_contents(photo_folder: Path, tmp_path: Path) -> None:
    before = image_folder(photo_folder).fingerprint
    moved = tmp_path / "elsewhere"
    photo_folder.rename(moved)
    assert image_folder(moved).fingerprint == before
    (moved / "a" / "00.jpg").rename(moved / "a" / "zz.jpg")
    renamed = image_folder(moved).fingerprint
    Image.new("RGB", (9, 9)).save(moved / "a" / "zz.jpg")
    assert len({before, renamed, image_folder(moved).fingerprint}) == 3


IMAGENETTE = {
    "n01440764": "tench", "n02102040": "English springer", "n02979186": "cassette player", "n03000684": "chain saw",
    "n03028079": "church", "n03394916": "French horn", "n03417042": "garbage truck", "n03425413": "gas pump",
    "n03445777": "golf ball", "n03888257": "parachute",
}  # fmt: skip


def test_imagenettes_classes_have_names(tmp_path: Path) -> None:
    for shade, number in enumerate((*IMAGENETTE, "n02084071")):
        (tmp_path / number).mkdir()
        Image.new("L", (9, 9), shade).save(tmp_path / number / "0.png")
    mixed = image_folder(tmp_path)
    assert mixed.class_names == sorted((*IMAGENETTE, "n02084071"))  # as in ImageNet: all of them, or none
    (tmp_path / "n02084071" / "0.png").unlink()
    images = image_folder(tmp_path)
    assert images.class_names == list(IMAGENETTE.values())
    assert images.labels.tolist() == list(range(10))
    digest = hashlib.sha256()
    for number in IMAGENETTE:
        digest.update(f"{number}/0.png".encode())
        digest.update(hashlib.sha256((tmp_path / number / "0.png").read_bytes()).digest())
    assert images.fingerprint == digest.hexdigest()


def test_it_travels_to_a_worker(photo_folder: Path) -> None:
    images = pickle.loads(pickle.dumps(image_folder(photo_folder)))
    assert images.image(3, min_px=32).mode == "RGB"


def test_what_cannot_be_read_is_named(photo_folder: Path, tmp_path: Path) -> None:
    (photo_folder / "a" / "00.jpg").write_bytes(b"no jpeg")
    with pytest.raises(ImageError, match=r"00\.jpg"):
        image_folder(photo_folder).image(0)
    (tmp_path / "empty" / "a").mkdir(parents=True)
    with pytest.raises(DataError, match="contains no photos"):
        image_folder(tmp_path / "empty")
    with pytest.raises(DataError, match=r"is not a valid data source.*Closest: stl10"):
        open_images("stl1")
    with pytest.raises(DataError, match=r"data\.root"):
        open_images("cifar10")
