"""Fixed representations of images, which MV-MR makes embeddings dependent on. Each is an `nn.Module`.

pixels            the pixels themselves
local_deviation   standard deviation in small windows
hog               histograms of oriented gradients
scattering        wavelet scattering
registry          from a name or an import path to one of them
sketch            a random projection for wide ones
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
