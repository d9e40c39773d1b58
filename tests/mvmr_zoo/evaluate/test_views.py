from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import v2

from mvmr_zoo.datasets.samples import photographs
from mvmr_zoo.evaluate.views import MIN_AREA, TEN_CROPS, RandomCrop
from mvmr_zoo.images import read_image
from mvmr_zoo.images.preprocess import Preprocess

PREPROCESS = Preprocess(resize_px=64, crop_px=48)


@pytest.fixture
def photo() -> Image.Image:
    return read_image(photographs()[4])


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float32)


def test_ten_crops_are_torchvisions(photo: Image.Image) -> None:
    theirs = v2.TenCrop(48)(v2.Resize(64)(photo))
    order = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
    mirrored = (1, 0, 3, 2, 4)  # torchvision crops the mirrored photo: its left is our right
    for number, view in zip(order, TEN_CROPS, strict=True):
        at = number if number < 5 else 5 + mirrored[number - 5]
        assert np.abs(pixels(view(photo, PREPROCESS, 0)) - pixels(theirs[at])).mean() < 1.5, view.name
    assert len({view(photo, PREPROCESS, 0).tobytes() for view in TEN_CROPS}) == 10


def test_a_photo_read_whole_is_enlarged_to_have_ten_crops(photo: Image.Image) -> None:
    whole = Preprocess(resize_px=48, crop_px=48)
    square = photo.crop((0, 0, 200, 200))
    assert len({view(square, whole, 0).tobytes() for view in TEN_CROPS}) == 10
    assert {view(square, whole, 0).size for view in TEN_CROPS} == {(48, 48)}


def test_random_crops_are_fixed_by_seed_number_and_row(photo: Image.Image) -> None:
    first = RandomCrop(0, 0)(photo, PREPROCESS, 0)
    assert first.size == (48, 48)
    assert RandomCrop(0, 0)(photo, PREPROCESS, 0).tobytes() == first.tobytes()
    for view, row in ((RandomCrop(0, 0), 1), (RandomCrop(0, 1), 0), (RandomCrop(1, 0), 0)):
        assert view(photo, PREPROCESS, row).tobytes() != first.tobytes()
    assert RandomCrop(0, 1).name != RandomCrop(1, 0).name


@pytest.mark.parametrize(("width", "height"), [(200, 200), (200, 50), (40, 200)])
def test_random_crops_show_a_fifth_to_all_of_the_area(width: int, height: int) -> None:
    """Every pixel of this photo tells where it is, so a crop tells what it shows."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    place = Image.fromarray(np.stack([x, y, x * 0], axis=2).astype(np.uint8))
    small = Preprocess(resize_px=40, crop_px=40)
    largest = min(width, height * 4 / 3) * min(height, width * 4 / 3)
    areas, aspects, mirrored = [], [], 0
    for row in range(300):
        shown = pixels(RandomCrop(0, 0)(place, small, row))
        mirrored += shown[0, 0, 0] > shown[0, -1, 0]
        across, down = np.ptp(shown[..., 0]) + 1, np.ptp(shown[..., 1]) + 1
        areas.append(across * down / largest)
        aspects.append(across / down)
    assert 0.75 * MIN_AREA < min(areas) < 1.4 * MIN_AREA
    assert 0.85 < max(areas) < 1.1
    assert 0.7 < min(aspects) < max(aspects) < 1.42
    assert 110 < mirrored < 190
