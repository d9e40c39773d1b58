from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from mvmr_zoo.datasets.samples import photographs
from mvmr_zoo.images import read_image


@pytest.fixture(scope="session")
def images() -> Tensor:
    """`(3, 3, 24, 40)` real photos in [0, 1]."""
    photos = [read_image(path).resize((40, 24)) for path in photographs()[:3]]
    return torch.stack([torch.from_numpy(np.array(photo)).permute(2, 0, 1) for photo in photos]).float() / 255
