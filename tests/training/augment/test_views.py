"""Both ways of augmenting, against torchvision's functions and against each other."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional
from training.augment import POLICIES, augment_batch, augment_image
from training.augment.draws import JITTERS, draw
from training.augment.per_image import kernel_px
from training.augment.policies import Policy

from mvmr_zoo.images import read_image
from mvmr_zoo.samples import photographs

PX = 48


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return read_image(photographs()[0]).resize((120, 90))


@pytest.fixture(scope="module")
def squares() -> list[Image.Image]:
    """Photos that are a view's size already, so that a whole-photo crop resamples nothing."""
    return [read_image(path).resize((PX, PX)) for path in photographs()[:4]]


def pixels(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def whole(policy: Policy) -> Policy:
    return dataclasses.replace(policy, crop="padded", min_scale=1.0)


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
        view = draw(policy, *photo.size, PX, seed)
        box = (view.left, view.top, view.left + view.width, view.top + view.height)
        expected = photo.resize((PX, PX), Image.Resampling.BILINEAR, box=box)
        np.testing.assert_array_equal(augment_image(photo, PX, policy, seed) * 255, pixels(expected))


def test_colours_equal_torchvisions_in_the_order_drawn(squares: list[Image.Image]) -> None:
    policy = whole(POLICIES["paper"])
    changes = [
        functional.adjust_brightness,
        functional.adjust_contrast,
        functional.adjust_saturation,
        functional.adjust_hue,
    ]
    for seed in range(12):
        view = draw(policy, PX, PX, PX, seed)
        shifted = Image.new("RGB", (PX, PX))
        shifted.paste(squares[0], (-view.left, -view.top))
        expected = pixels(shifted).float() / 255
        expected = functional.horizontal_flip(expected) if view.flip else expected
        for i in view.order:
            expected = changes[i](expected, view.factors[i])
        if view.grey:
            expected = functional.rgb_to_grayscale(expected, num_output_channels=3)
        if view.sigma:
            expected = functional.gaussian_blur(expected, [kernel_px(PX)] * 2, [view.sigma] * 2)
        torch.testing.assert_close(augment_image(squares[0], PX, policy, seed), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["paper", "cifar", "cifar20"])
def test_the_device_draws_what_workers_draw(name: str, squares: list[Image.Image]) -> None:
    """Without resampling both give the same pixels, whatever shares the batch."""
    policy = whole(POLICIES[name])
    seeds = torch.arange(40, 48)
    images = torch.stack([pixels(squares[i % 4]) for i in range(8)])
    found = augment_batch(images, PX, policy, seeds)
    expected = torch.stack([augment_image(squares[i % 4], PX, policy, int(seed)) for i, seed in enumerate(seeds)])
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)
    alone = augment_batch(images[3:4], PX, policy, seeds[3:4])
    torch.testing.assert_close(found[3:4], alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("channel", range(4))
def test_each_colour_change_on_the_device_is_torchvisions(channel: int, squares: list[Image.Image]) -> None:
    strengths = [{"brightness": 0.8}, {"contrast": 0.8}, {"saturation": 0.8}, {"hue": 0.5}][channel]
    policy = Policy(crop="padded", min_scale=1.0, jitter=1.0, **strengths)
    assert list(strengths) == [JITTERS[channel]]
    images = torch.stack([pixels(square) for square in squares])
    seeds = torch.arange(4)
    expected = torch.stack([augment_image(each, PX, policy, i) for i, each in enumerate(squares)])
    torch.testing.assert_close(augment_batch(images, PX, policy, seeds), expected, rtol=0, atol=2e-5)


def test_a_resampled_crop_on_the_device_shows_the_same_part(photo: Image.Image) -> None:
    square = photo.crop((0, 0, 90, 90))
    policy = Policy(min_scale=0.5, flip=0.5)
    seeds = torch.arange(8)
    found = augment_batch(pixels(square).expand(8, -1, -1, -1), PX, policy, seeds)
    expected = torch.stack([augment_image(square, PX, policy, int(seed)) for seed in seeds])
    assert (found - expected).abs().mean() < 0.02
    assert (found - expected.roll(1, 0)).abs().mean() > 0.05


def test_small_views_are_not_blurred(squares: list[Image.Image]) -> None:
    small = squares[0].resize((16, 16))
    policy = Policy(crop="padded", min_scale=1.0, blur=1.0)
    plain = dataclasses.replace(policy, blur=0.0)
    for seed in range(3):
        assert torch.equal(augment_image(small, 16, policy, seed), augment_image(small, 16, plain, seed))
