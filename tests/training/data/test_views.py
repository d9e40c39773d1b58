"""Both ways of augmenting, against torchvision's functions and against each other."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional

from mvmr_zoo.datasets.samples import photographs
from mvmr_zoo.images import read_image
from training.data import POLICIES, Policy, augment_image, color_batch, crop_image, draw_view, to_tensor
from training.data.views import COLOR_DIM, color_row, kernel_px

PX = 48


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return read_image(photographs()[0]).resize((120, 90))


@pytest.fixture(scope="module")
def squares() -> list[Image.Image]:
    """Photos that are a view's size already, so that a whole-photo crop resamples nothing."""
    return [read_image(path).resize((PX, PX)) for path in photographs()[:4]]


def whole(policy: Policy) -> Policy:
    return dataclasses.replace(policy, crop="padded", min_scale=1.0)


def on_device(images: list[Image.Image], policy: Policy, seeds: list[int]) -> Tensor:
    """Views as a run with `where: device` makes them: cropped one by one, colored together."""
    views = [draw_view(policy, *image.size, PX, seed) for image, seed in zip(images, seeds, strict=True)]
    crops = [to_tensor(crop_image(image, PX, policy, view)) for image, view in zip(images, views, strict=True)]
    return color_batch(torch.stack(crops), torch.stack([color_row(view.color) for view in views]))


@pytest.mark.parametrize("name", POLICIES)
def test_a_view_is_a_function_of_its_seed(name: str, photo: Image.Image) -> None:
    before = torch.random.get_rng_state()
    first = augment_image(photo, PX, POLICIES[name], 5)
    assert first.shape == (3, PX, PX)
    assert first.dtype == torch.float32
    assert 0 <= first.min() <= first.max() <= 1
    torch.testing.assert_close(augment_image(photo, PX, POLICIES[name], 5), first, rtol=0, atol=0)
    others = [augment_image(photo, PX, POLICIES[name], seed) for seed in range(6, 12)]
    assert any((other - first).abs().mean() > 0.01 for other in others)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_crop_is_pillows(photo: Image.Image) -> None:
    policy = Policy(min_scale=0.3, flip=0.0)
    for seed in range(5):
        view = draw_view(policy, *photo.size, PX, seed)
        left, top, width, height = view.box
        box = (left, top, left + width, top + height)
        expected = photo.resize((PX, PX), Image.Resampling.BILINEAR, box=box)
        np.testing.assert_array_equal(augment_image(photo, PX, policy, seed) * 255, to_tensor(expected))


def test_colors_equal_torchvisions_in_the_order_drawn(squares: list[Image.Image]) -> None:
    policy = whole(POLICIES["paper"])
    changes = [
        functional.adjust_brightness,
        functional.adjust_contrast,
        functional.adjust_saturation,
        functional.adjust_hue,
    ]
    for seed in range(12):
        view = draw_view(policy, PX, PX, PX, seed)
        shifted = Image.new("RGB", (PX, PX))
        shifted.paste(squares[0], (-view.box.left, -view.box.top))
        expected = to_tensor(shifted).float() / 255
        expected = functional.horizontal_flip(expected) if view.flip else expected
        for i in view.color.order:
            expected = changes[i](expected, view.color.factors[i])
        if view.color.gray:
            expected = functional.rgb_to_grayscale(expected, num_output_channels=3)
        if view.color.sigma:
            expected = functional.gaussian_blur(expected, [kernel_px(PX)] * 2, [view.color.sigma] * 2)
        torch.testing.assert_close(augment_image(squares[0], PX, policy, seed), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", POLICIES)
def test_the_device_colors_as_the_workers_do(name: str, photo: Image.Image, squares: list[Image.Image]) -> None:
    """The same draws give the same pixels, whatever shares the batch."""
    policy, seeds = POLICIES[name], list(range(40, 50))
    images = [*squares, *squares, photo, photo]
    found = on_device(images, policy, seeds)
    expected = torch.stack([augment_image(image, PX, policy, seed) for image, seed in zip(images, seeds, strict=True)])
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)
    alone = on_device(images[3:4], policy, seeds[3:4])
    torch.testing.assert_close(found[3:4], alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("strength", [{"brightness": 0.8}, {"contrast": 0.8}, {"saturation": 0.8}, {"hue": 0.5}])
def test_each_color_change_on_the_device_is_torchvisions(
    strength: dict[str, float], squares: list[Image.Image]
) -> None:
    policy = Policy(crop="padded", min_scale=1.0, jitter=1.0, **strength)
    seeds = list(range(4))
    expected = torch.stack([augment_image(each, PX, policy, i) for i, each in enumerate(squares)])
    found = on_device(squares, policy, seeds)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)
    plain = on_device(squares, dataclasses.replace(policy, jitter=0.0), seeds)
    assert (found - plain).abs().mean() > 2e-3


def test_a_row_holds_every_number_of_a_color() -> None:
    color = draw_view(POLICIES["paper"], 60, 60, PX, 1).color
    row = color_row(color)
    assert row.shape == (COLOR_DIM,)
    np.testing.assert_allclose(row, [*color.factors, *color.order, color.gray, color.sigma], rtol=1e-6)


@pytest.mark.parametrize("crop", ["resized", "padded"])
def test_a_view_shows_the_same_part_at_every_size(crop: str, photo: Image.Image) -> None:
    """What a teacher of another size sees: the crop and flip of the view, and no color."""
    policy = Policy(crop=crop, min_scale=0.3 if crop == "resized" else 1.0, flip=0.5)
    for seed in range(8):
        view = draw_view(policy, *photo.size, PX, seed)
        small = to_tensor(crop_image(photo, PX, policy, view)).float() / 255
        large = crop_image(photo, 2 * PX, policy, view, Image.Resampling.BICUBIC)
        again = to_tensor(large.resize((PX, PX), Image.Resampling.BOX)).float() / 255
        assert (again - small).abs().mean() < 0.03
        assert (again.flip(2) - small).abs().mean() > 0.05


def test_small_views_are_not_blurred(squares: list[Image.Image]) -> None:
    small = squares[0].resize((16, 16))
    policy = Policy(crop="padded", min_scale=1.0, blur=1.0)
    plain = dataclasses.replace(policy, blur=0.0)
    for seed in range(3):
        assert torch.equal(augment_image(small, 16, policy, seed), augment_image(small, 16, plain, seed))
