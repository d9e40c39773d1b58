from __future__ import annotations

import torch
from torch import Tensor

from training.targets.representations import Pixels


def test_pixels_are_the_images_in_rows(images: Tensor) -> None:
    assert torch.equal(Pixels()(images), images.reshape(3, -1))
