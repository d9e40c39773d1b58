"""Histograms of oriented gradients against references written pixel by pixel, and against scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from mvmr_zoo.datasets.samples import photographs
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.images import read_image
from training.targets.representations import Hog, build_representation


@pytest.fixture(scope="module")
def images() -> Tensor:
    """`(3, 3, 24, 40)` photos in [0, 1], float64."""
    photos = [read_image(path).resize((40, 24)) for path in photographs()[:3]]
    return torch.stack([torch.from_numpy(np.array(photo)).permute(2, 0, 1) for photo in photos]).double() / 255


def by_pixel(image: NDArray[np.float64], bins: int, cell: int, *, hard: bool) -> NDArray[np.float64]:
    """`linear` or `hard` of one image `(C, H, W)`."""
    channels, height, width = image.shape
    down, across = height // cell, width // cell
    cells = np.zeros((down, across, bins))
    for y in range(down * cell):
        for x in range(across * cell):
            best = (0.0, 0.0, 0.0)
            for c in range(channels):
                gy = image[c, y + 1, x] - image[c, y - 1, x] if 0 < y < height - 1 else 0.0
                gx = image[c, y, x + 1] - image[c, y, x - 1] if 0 < x < width - 1 else 0.0
                if math.hypot(gy, gx) > best[0]:
                    best = (math.hypot(gy, gx), gy, gx)
            magnitude, gy, gx = best
            place = math.atan2(gy, gx) % math.pi / math.pi * bins
            here = cells[y // cell, x // cell]
            if hard:
                here[min(int(place), bins - 1)] += magnitude
            else:
                lower = math.floor(place - 0.5)
                share = place - 0.5 - lower
                here[lower % bins] += magnitude * (1 - share)
                here[(lower + 1) % bins] += magnitude * share
    return (cells / (cells.sum(axis=2, keepdims=True) + 1e-5)).ravel()


def released_by_pixel(image: NDArray[np.float64], bins: int, cell: int) -> NDArray[np.float64]:
    """The descriptor of the released code for one image `(C, H, W)`, from its definition."""
    channels, height, width = image.shape
    down, across = height // cell, width // cell
    found = np.zeros((channels, bins, down, across))

    def value(c: int, y: int, x: int) -> float:
        return float(image[c, y, x]) if 0 <= y < height and 0 <= x < width else 0.0

    for c in range(channels):
        for y in range(down * cell):
            for x in range(across * cell):
                gx = sum(w * (value(c, y + d, x - 1) - value(c, y + d, x + 1)) for d, w in ((-1, 1), (0, 2), (1, 1)))
                gy = sum(w * (value(c, y - 1, x + d) - value(c, y + 1, x + d)) for d, w in ((-1, 1), (0, 2), (1, 1)))
                magnitude = math.sqrt(gx * gx + gy * gy)
                place = math.atan2(gx, gy) / math.pi * bins
                votes = [0.0] * bins
                votes[math.floor(place) % bins] = magnitude  # set, not added
                votes[math.ceil(place) % bins] += 1 - magnitude
                found[c, :, y // cell, x // cell] += np.asarray(votes) / cell**2
    return found.ravel()


@pytest.mark.parametrize("mode", ["linear", "hard"])
def test_each_pixel(images: Tensor, mode: str) -> None:
    found = Hog(mode=mode)(images)
    expected = [by_pixel(image, 24, 8, hard=mode == "hard") for image in images.numpy()]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_pixels_outside_whole_cells_are_left_out(images: Tensor) -> None:
    found = Hog(bins=6, cell_px=7)(images)
    assert found.shape == (3, 3 * 5 * 6)
    np.testing.assert_allclose(found, [by_pixel(each, 6, 7, hard=False) for each in images.numpy()], atol=1e-9)


def test_hard_equals_scikit_image(images: Tensor) -> None:
    from skimage.feature import hog

    found = Hog(bins=9, cell_px=8, mode="hard")(images).view(3, -1, 9).numpy()
    for ours, image in zip(found, images.numpy(), strict=True):
        theirs = hog(
            image.transpose(1, 2, 0), orientations=9, pixels_per_cell=(8, 8), cells_per_block=(1, 1),
            block_norm="L1", channel_axis=-1,
        ).reshape(-1, 9)  # fmt: skip
        theirs = theirs / theirs.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(ours / ours.sum(axis=1, keepdims=True), theirs, atol=1e-6)


@pytest.mark.parametrize(("bins", "cell"), [(24, 8), (6, 7)])
def test_released_each_pixel(images: Tensor, bins: int, cell: int) -> None:
    # noise, because on a direction exactly between two bins rounding decides which of them a vote falls into
    images = images + 1e-3 * torch.rand(images.shape, generator=torch.Generator().manual_seed(0), dtype=images.dtype)
    found = Hog(bins=bins, cell_px=cell, mode="released")(images)
    assert found.shape == (3, 3 * bins * (24 // cell) * (40 // cell))
    np.testing.assert_allclose(found, [released_by_pixel(each, bins, cell) for each in images.numpy()], atol=1e-9)


def test_released_votes_of_exact_directions() -> None:
    """On a bin's own direction both votes fall into it: m + (1 - m) = 1, whether the area is flat or an edge."""
    step = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    step[..., 4:] = 1.0
    found = Hog(bins=4, cell_px=2, mode="released")(step).view(4, 4, 4)[:, 1:3]  # rows of cells away from the border
    expected = torch.zeros(4, 2, 4, dtype=torch.float64)
    expected[0, :, 0] = 1.0  # flat, direction 0
    expected[:, :, 1:3] = torch.tensor([0.5, 0.0, 0.5, 0.0], dtype=torch.float64)[:, None, None]  # one side, one edge
    expected[:, :, 3] = torch.tensor([0.5, 0.0, 0.5, 0.0], dtype=torch.float64)[:, None]  # zeros lie outside
    torch.testing.assert_close(found, expected)


def test_released_votes_of_a_cell_sum_to_one(images: Tensor) -> None:
    """Every pixel votes m and 1 - m, so strong edges only move votes between bins."""
    found = Hog(mode="released")(images).view(3, 3, 24, 3, 5)
    torch.testing.assert_close(found.sum(dim=2), torch.ones(3, 3, 3, 5, dtype=torch.float64))
    assert found.min() < 0  # Sobel magnitudes exceed 1


@pytest.mark.parametrize("mode", ["linear", "hard", "released"])
def test_an_image_does_not_depend_on_the_others(images: Tensor, mode: str) -> None:
    single = images.float()
    found = Hog(mode=mode)(single)
    assert found.dtype == torch.float32
    torch.testing.assert_close(Hog(mode=mode)(single[1:2]), found[1:2], rtol=1e-5, atol=1e-6)


def test_the_registry_makes_the_released_descriptor(images: Tensor) -> None:

    made = build_representation("hog", {"mode": "released", "bins": 6})
    torch.testing.assert_close(made(images), Hog(bins=6, mode="released")(images))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"bins": 1}, r"hog\.bins is 1; expected at least 2"),
        ({"cell_px": 0}, r"hog\.cell_px is 0"),
        ({"mode": "soft"}, r"hog\.mode is .*soft.*; expected linear, hard or released"),
    ],
)
def test_bad_options(options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Hog(**options)


@pytest.mark.parametrize("mode", ["linear", "released"])
def test_an_image_smaller_than_a_cell(mode: str) -> None:
    with pytest.raises(ConfigError, match="image side is 6; expected at least one cell of 8 px"):
        Hog(mode=mode)(torch.zeros(1, 3, 6, 6))
