from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from export.inputs import load_crops, load_inputs, read_photos
from export.photos import folder_photos
from mvmr_zoo.images import read_image
from mvmr_zoo.images.preprocess import Preprocess

from ..exported_folders import ExportedFolders
from .conftest import signature

LARGE = Preprocess(resize_px=100, crop_px=90)
"""Large enough that no JPEG is decoded at a reduced size."""


@pytest.fixture
def paths(exports: ExportedFolders) -> list[Path]:
    return folder_photos(exports.photos).measured[:5]


def test_inputs_of_each_stage(paths: list[Path]) -> None:
    images = [read_image(path) for path in paths]
    found = load_inputs(signature(preprocess=LARGE), paths)
    np.testing.assert_array_equal(found, np.stack([LARGE(image) for image in images]))
    found = load_inputs(signature(preprocess=LARGE, stage="normalize"), paths)
    np.testing.assert_array_equal(found, np.stack([LARGE.prepare(image, "pixels") for image in images]))
    found = load_inputs(signature(preprocess=LARGE, stage="full"), paths)
    assert all(np.array_equal(one, np.asarray(image)) for one, image in zip(found, images, strict=True))


def test_photos_are_decoded_at_full_size_if_the_graph_resizes(paths: list[Path], tmp_path: Path) -> None:
    small = Preprocess(resize_px=9, crop_px=8)
    full, none = (read_photos(signature(preprocess=small, stage=stage), paths) for stage in ("full", "none"))
    assert [image.size for image in full] == [read_image(path).size for path in paths]
    assert all(2 * 9 <= min(image.size) < min(whole.size) for image, whole in zip(none, full, strict=True))


@pytest.mark.parametrize("stage", ["none", "normalize", "full"])
def test_crops_match_the_encoder_inputs(stage: str, paths: list[Path]) -> None:
    found = load_crops(signature(preprocess=LARGE, stage=stage, size_px=90), paths)
    assert (found.shape, found.dtype) == ((5, 3, 90, 90), np.float32)
    expected = np.stack([LARGE(read_image(path)) for path in paths])
    gray_level = 1 / (255 * min(LARGE.std))
    np.testing.assert_allclose(found, expected, atol=1.01 * gray_level if stage == "full" else 0)
