from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mvmr_zoo.datasets import ImageFolder, JoinedImages, Subset, image_folder
from mvmr_zoo.errors import ConfigError

from ...conftest import write_photos


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageFolder, ImageFolder, ImageFolder]:
    """Six photos of two classes, three of no class, and four of two classes whose names the first has too."""
    root = tmp_path_factory.mktemp("parts")
    first = image_folder(write_photos(root / "first", 6))
    flat = root / "flat"
    flat.mkdir()
    for number in range(3):
        Image.new("RGB", (20 + number, 30), (number, 0, 0)).save(flat / f"{number}.png")
    return first, image_folder(flat), image_folder(write_photos(root / "second", 4))


def test_images_labels_and_names_follow_each_other(parts: tuple[ImageFolder, ...]) -> None:
    joined = JoinedImages(parts)
    assert len(joined) == 13
    each = [(part, row) for part in parts for row in range(len(part))]
    for index, (part, row) in enumerate(each):
        assert joined.describe(index) == f"{part.name}: {part.describe(row)}"
        np.testing.assert_array_equal(joined.image(index), part.image(row))
    assert joined.files == [path for part in parts for path in part.files]
    assert joined.name == "+".join(part.name for part in parts)


def test_classes_of_different_sets_are_different(parts: tuple[ImageFolder, ...]) -> None:
    joined = JoinedImages(parts)
    first, flat, second = (part.name for part in parts)
    assert joined.class_names == [f"{first}/a", f"{first}/b", f"{second}/a", f"{second}/b"]
    assert joined.labels.tolist() == [0] * 3 + [1] * 3 + [-1] * 3 + [2] * 2 + [3] * 2
    assert joined.labels.dtype == np.int64
    assert flat not in " ".join(joined.class_names)


def test_a_size_is_passed_on(parts: tuple[ImageFolder, ...]) -> None:
    large = parts[0].image(0)
    small = JoinedImages(parts).image(0, min_px=16)
    assert 16 <= min(small.size) <= min(large.size)
    assert small.size == parts[0].image(0, min_px=16).size


def test_the_fingerprint_follows_sets_and_order(parts: tuple[ImageFolder, ...]) -> None:
    orders = [parts, parts[::-1], parts[:2], (parts[0], Subset(parts[2], np.array([1, 2])))]
    fingerprints = {JoinedImages(tuple(order)).fingerprint for order in orders}
    assert len(fingerprints) == 4
    assert JoinedImages(parts).fingerprint in fingerprints


def test_a_subset_of_joined_images(parts: tuple[ImageFolder, ...]) -> None:
    some = Subset(JoinedImages(parts), np.array([12, 0, 7]))
    assert some.labels.tolist() == [3, 0, -1]
    assert [some.describe(i).rpartition("/")[2] for i in range(3)] == ["03.jpg", "00.jpg", "flat: 1.png"]


def test_an_index_outside_is_an_index_error(parts: tuple[ImageFolder, ...]) -> None:
    joined = JoinedImages(parts)
    for index in (13, -1, 100):
        with pytest.raises(IndexError):
            joined.describe(index)


def test_nothing_cannot_be_joined() -> None:
    with pytest.raises(ConfigError, match="the number of image sets is 0; expected at least 1"):
        JoinedImages(())
