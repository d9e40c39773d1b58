"""Fixed representations of images, the targets of MV-MR. Each is an `nn.Module`.

pixels            the pixels themselves
local_deviation   standard deviation in small windows
hog               histograms of oriented gradients
scattering        wavelet scattering
registry          finds a representation by its name or import path
sketch            a random projection of wide representations
"""

from training.targets.representations.hog import Hog
from training.targets.representations.local_deviation import LocalDeviation
from training.targets.representations.pixels import Pixels
from training.targets.representations.registry import (
    REPRESENTATIONS,
    Representation,
    build_representation,
    representation_digest,
)
from training.targets.representations.scattering import Scattering
from training.targets.representations.sketch import count_sketch

__all__ = [
    "REPRESENTATIONS",
    "Hog",
    "LocalDeviation",
    "Pixels",
    "Representation",
    "Scattering",
    "build_representation",
    "count_sketch",
    "representation_digest",
]
