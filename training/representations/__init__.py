"""Fixed representations of images: what MV-MR makes embeddings dependent on, beside other views.

pixels            the pixels themselves
local_deviation   standard deviation in small windows
hog               histograms of oriented gradients
scattering        wavelet scattering
dct               2-D cosine transform
build             from a configuration to one of them, a user's own included
"""

from training.representations.build import REPRESENTATIONS, Representation, build_representation, representation_digest
from training.representations.dct import Dct
from training.representations.hog import Hog
from training.representations.local_deviation import LocalDeviation
from training.representations.pixels import Pixels
from training.representations.scattering import Scattering

__all__ = [
    "REPRESENTATIONS",
    "Dct",
    "Hog",
    "LocalDeviation",
    "Pixels",
    "Representation",
    "Scattering",
    "build_representation",
    "representation_digest",
]
