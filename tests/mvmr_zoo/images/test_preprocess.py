from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from mvmr_zoo.errors import ConfigError
from mvmr_zoo.images.preprocess import Preprocess

MODES = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    crop=st.integers(1, 64),
    margin=st.integers(0, 20),
    interpolation=st.sampled_from(["bilinear", "bicubic"]),
)
def test_pixels_equal_torchvision(width: int, height: int, crop: int, margin: int, interpolation: str) -> None:
    # mid grays: Pillow clips between its two passes, whose order depends on the sizes
    pixels = np.random.default_rng(width * 301 + height).integers(80, 176, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    ours = Preprocess(resize_px=crop + margin, crop_px=crop, interpolation=interpolation)
    theirs = v2.Compose([v2.Resize(crop + margin, interpolation=MODES[interpolation]), v2.CenterCrop(crop)])
    difference = np.abs(np.asarray(ours.crop(image), int) - np.asarray(theirs(image), int))
    assert difference.max() <= 2  # fixed-point rounding


def test_normalization_equals_torchvision() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    ours = Preprocess(resize_px=40, crop_px=40)
    theirs = v2.Compose(
        [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(ours.mean), list(ours.std))]
    )
    got = ours(Image.fromarray(pixels))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, theirs(Image.fromarray(pixels)).numpy(), atol=1e-5)


def test_as_much_as_an_engine_leaves_to_its_caller() -> None:
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8))
    ours = Preprocess(resize_px=36, crop_px=32)
    whole, pixels, normalized = (ours.prepare(photo, reads) for reads in ("photo", "pixels", "normalized"))
    np.testing.assert_array_equal(whole, np.asarray(photo))
    assert (pixels.shape, pixels.dtype) == ((3, 32, 32), np.uint8)
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels.transpose(1, 2, 0), np.asarray(ours.crop(photo)))
    np.testing.assert_array_equal(normalized, ours(photo))
    np.testing.assert_array_equal(ours.normalize(pixels.transpose(1, 2, 0)), normalized)


@given(crop=st.integers(1, 900), margin=st.integers(0, 100), wanted=st.integers(1, 900))
def test_another_crop_keeps_the_proportion(crop: int, margin: int, wanted: int) -> None:
    one = Preprocess(resize_px=crop + margin, crop_px=crop, interpolation="bicubic")
    assert one.scaled(crop) == one
    if round((crop + margin) * wanted / crop) > 2048:
        with pytest.raises(ConfigError):
            one.scaled(wanted)
        return
    two = one.scaled(wanted)
    assert two.crop_px == wanted
    assert abs(two.resize_px - one.resize_px * wanted / crop) <= 0.5
    assert (two.interpolation, two.mean, two.std) == (one.interpolation, one.mean, one.std)


def test_dict_round_trip_keeps_the_digest() -> None:
    one = Preprocess(resize_px=50, crop_px=40, interpolation="bicubic", mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0))
    two = Preprocess.from_dict(one.to_dict())
    assert two == one
    assert two.digest == one.digest
    assert Preprocess(resize_px=51, crop_px=40).digest != Preprocess(resize_px=50, crop_px=40).digest


@pytest.mark.parametrize(
    "values",
    [
        {"resize_px": 10, "crop_px": 20},
        {"resize_px": 10, "crop_px": 0},
        {"resize_px": 10, "crop_px": 10, "interpolation": "nearest"},
        {"resize_px": 10, "crop_px": 10, "std": (0.0, 1.0, 1.0)},
        {"resize_px": 10, "crop_px": 10, "mean": (0.0, 1.0)},
        {"resize_px": 10},
        {"resize_px": "many", "crop_px": 10},
        {"resize_px": 10, "crop_px": 10, "center": 3},
    ],
)
def test_wrong_fields_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Preprocess.from_dict(values)
