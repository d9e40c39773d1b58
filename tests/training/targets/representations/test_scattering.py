from __future__ import annotations

import numpy as np
import pytest
import torch

from mvmr_zoo.errors import ConfigError
from training.targets.representations import Scattering


@pytest.mark.parametrize(
    ("height", "width", "scales", "orientations"),
    [(32, 32, 2, 8), (96, 96, 2, 8), (224, 224, 2, 8), (40, 64, 3, 4), (33, 46, 2, 3), (16, 16, 1, 8)],
)
def test_values_are_kymatios(height: int, width: int, scales: int, orientations: int) -> None:
    from kymatio.scattering2d.frontend.torch_frontend import ScatteringTorch2D

    shape = (2, 3) if height < 96 else (1, 1)  # a large image has more pixels than several small ones
    images = torch.rand(*shape, height, width, generator=torch.Generator().manual_seed(0))
    expected = ScatteringTorch2D(J=scales, shape=(height, width), L=orientations)(images)
    found = Scattering(scales, orientations).maps(images)
    assert found.shape == expected.shape
    assert found.dtype == torch.float32
    error = (found - expected).abs().amax(dim=(0, 1, 3, 4)) / expected.abs().amax(dim=(0, 1, 3, 4))
    assert error.max() < 1e-4  # of each path's largest value; 5e-7 was seen at 32, 96 and 224


def test_first_order_alone_is_the_first_paths() -> None:
    images = torch.rand(1, 1, 32, 48)
    first = Scattering(max_order=1).maps(images)
    assert first.shape == (1, 1, 17, 8, 12)
    torch.testing.assert_close(first, Scattering().maps(images)[:, :, :17])


def test_a_batch_is_worked_on_in_chunks_without_a_trace() -> None:
    images = torch.rand(9, 3, 64, 64)
    whole = Scattering()(images)
    torch.testing.assert_close(torch.cat([Scattering()(each[None]) for each in images]), whole, rtol=1e-5, atol=1e-6)


def test_a_flat_image_scatters_to_its_mean() -> None:
    maps = Scattering().maps(torch.full((1, 3, 32, 32), 0.5))
    np.testing.assert_allclose(maps[:, :, 0], 0.5, atol=1e-4)
    assert maps[:, :, 1:].abs().max() < 1e-4


def test_too_small_an_image_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 8"):
        Scattering(scales=3)(torch.zeros(1, 3, 6, 32))
