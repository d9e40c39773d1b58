from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from mvmr_zoo.errors import ConfigError
from training.targets.representations import LocalDeviation


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


def test_images_too_small_are_refused() -> None:
    with pytest.raises(ConfigError, match="image side is 6; expected above 7"):
        LocalDeviation(window=15)(torch.zeros(1, 3, 6, 6))
