"""Each representation against a reference written the slow and obvious way, or another library's."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.fft import dctn
from skimage.feature import hog
from torch import Tensor
from training.representations import Dct, Hog, LocalDeviation, Pixels, build_representation, representation_digest

from mvmr_zoo.errors import ConfigError
from mvmr_zoo.images import read_image
from mvmr_zoo.samples import photographs


@pytest.fixture(scope="module")
def images() -> Tensor:
    """`(3, 3, 24, 40)` real photos in [0, 1]."""
    photos = [read_image(path).resize((40, 24)) for path in photographs()[:3]]
    return torch.stack([torch.from_numpy(np.array(photo)).permute(2, 0, 1) for photo in photos]).float() / 255


def test_pixels(images: Tensor) -> None:
    assert torch.equal(Pixels()(images), images.reshape(3, -1))


@pytest.mark.parametrize("window", [3, 5])
def test_local_deviation_pixel_by_pixel(images: Tensor, window: int) -> None:
    reach = window // 2
    padded = np.pad(images.double().numpy(), ((0, 0), (0, 0), (reach, reach), (reach, reach)), mode="reflect")
    expected = np.empty(images.shape)
    for y in range(images.shape[2]):
        for x in range(images.shape[3]):
            expected[:, :, y, x] = padded[:, :, y : y + window, x : x + window].std(axis=(2, 3))
    found = LocalDeviation(window)(images).view(images.shape)
    np.testing.assert_allclose(found, expected, atol=2e-4)
    np.testing.assert_allclose(found.mean(), expected.mean(), rtol=1e-4)


def test_local_deviation_of_a_bright_flat_image_is_nothing() -> None:
    assert LocalDeviation()(torch.full((1, 3, 8, 8), 0.999)).max() < 1e-3


def naive_hog(image: NDArray[np.float64], bins: int, cell: int, *, hard: bool) -> NDArray[np.float64]:
    """One image `(C, H, W)`, pixel by pixel."""
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


@pytest.mark.parametrize("votes", ["linear", "hard"])
def test_hog_pixel_by_pixel(images: Tensor, votes: str) -> None:
    found = Hog(bins=24, cell_px=8, votes=votes)(images.double())
    expected = [naive_hog(image, 24, 8, hard=votes == "hard") for image in images.double().numpy()]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_hog_leaves_out_what_fills_no_cell(images: Tensor) -> None:
    found = Hog(bins=6, cell_px=7)(images.double())
    assert found.shape == (3, 3 * 5 * 6)
    np.testing.assert_allclose(
        found, [naive_hog(each, 6, 7, hard=False) for each in images.double().numpy()], atol=1e-9
    )


def test_hard_votes_are_skimages(images: Tensor) -> None:
    found = Hog(bins=9, cell_px=8, votes="hard")(images.double()).view(3, -1, 9)
    for ours, image in zip(found.numpy(), images.double().numpy(), strict=True):
        theirs = hog(
            image.transpose(1, 2, 0), orientations=9, pixels_per_cell=(8, 8), cells_per_block=(1, 1),
            block_norm="L1", channel_axis=-1,
        ).reshape(-1, 9)  # fmt: skip
        theirs = theirs / theirs.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(ours / ours.sum(axis=1, keepdims=True), theirs, atol=1e-6)


def test_dct_is_scipys(images: Tensor) -> None:
    expected = dctn(images.double().numpy(), axes=(2, 3), norm="ortho")
    np.testing.assert_allclose(Dct()(images).view(images.shape), expected, atol=1e-5)
    np.testing.assert_allclose(Dct(keep=6)(images).view(3, 3, 6, 6), expected[:, :, :6, :6], atol=1e-5)


def test_the_whole_dct_keeps_distances(images: Tensor) -> None:
    before, after = torch.pdist(images.flatten(1)), torch.pdist(Dct()(images))
    torch.testing.assert_close(before, after, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["pixels", "local_deviation", "hog", "scattering", "dct"])
def test_an_image_is_represented_by_itself(kind: str, images: Tensor) -> None:
    representation = build_representation(kind, {})
    found = representation(images)
    assert found.shape[0] == 3
    assert found.dtype == torch.float32
    torch.testing.assert_close(representation(images[1:2]), found[1:2], rtol=1e-5, atol=1e-6)


class Halves:
    """A user's own, without options."""

    def __call__(self, images: Tensor) -> Tensor:
        return images.mean(dim=3).flatten(1)


def test_a_users_own_by_its_import_path(images: Tensor) -> None:
    own = build_representation("tests.training.representations.test_representations:Halves", {})
    assert own(images).shape == (3, 3 * 24)
    assert representation_digest(own) != representation_digest(Pixels())


def test_the_digest_follows_every_file_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    before = representation_digest(build_representation("scattering", {}))
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b"#" * (path.name == "filters.py"))
    assert representation_digest(build_representation("scattering", {})) != before


def test_the_digest_follows_the_options() -> None:
    digests = {representation_digest(each) for each in (Hog(), Hog(bins=9), Hog(votes="hard"), Dct(), Dct(keep=8))}
    assert len(digests) == 5
    assert representation_digest(Hog(bins=24)) == representation_digest(Hog())


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("hogg", {}, "Closest: hog"),
        ("hog", {"bin": 9}, "no option bin. It has: bins"),
        ("hog", {"bins": 9.5}, r"hog\.bins is 9\.5; expected int"),
        ("hog", {"votes": "soft"}, r"hog\.votes is"),
        ("local_deviation", {"window": 4}, r"local_deviation\.window is 4; expected odd"),
        ("scattering", {"scales": 0}, r"scattering\.scales is 0"),
        ("dct", {"keep": 0}, r"dct\.keep is 0"),
        ("nowhere.at_all:Name", {}, "cannot be imported"),
        ("math:pi", {}, "is a float; expected a class"),
        ("math:sqrt", {}, "expected a class"),
    ],
)
def test_what_cannot_be_built_is_refused(kind: str, options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        build_representation(kind, options)


@pytest.mark.parametrize("representation", [Hog(cell_px=8), Dct(keep=8), LocalDeviation(window=15)])
def test_images_too_small_are_refused(representation: object) -> None:
    with pytest.raises(ConfigError, match="image side"):
        representation(torch.zeros(1, 3, 6, 6))
