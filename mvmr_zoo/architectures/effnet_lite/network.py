"""EfficientNet-Lite in PyTorch. The one file that imports efficientnet_lite_pytorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mvmr_zoo.architectures.effnet_lite.weights import BaseWeights
from mvmr_zoo.errors import MissingDependencyError


class PooledFeatures(nn.Module):
    """The network without its classifier: images `(N, 3, H, W)` to the spatial mean of the last map `(N, 1280)`.

    Convolutions of stride 2 are padded by the rule of TensorFlow's "same" for the image size that the network was
    trained with. For an even input, which every size that is a multiple of 32 keeps, that rule does not depend on the
    size, so one network serves 96, 128, 160 and 224 px.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Features `(N, 1280)`."""
        features: Tensor = self.network.extract_features(images)
        return features.mean(dim=(2, 3))


def build_network(number: str) -> PooledFeatures:
    """A network with random weights, without stochastic depth.

    Args:
        number: `0`, `1` or `2`.

    Raises:
        MissingDependencyError: efficientnet-lite-pytorch is not installed.
    """
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise MissingDependencyError(
            "efficientnet-lite-pytorch", "train", f"build effnet-lite:{number} in PyTorch"
        ) from error
    network = EfficientNet.from_name(f"efficientnet-lite{number}", drop_connect_rate=0.0)
    network._fc = nn.Identity()
    return PooledFeatures(network)


def fill_network(module: PooledFeatures, base: BaseWeights) -> PooledFeatures:
    """Load a package's weights into its network. Returns the network in evaluation mode."""
    tensors = {name: torch.from_numpy(tensor) for name, tensor in base.tensors.items()}
    missing, unknown = module.network.load_state_dict(tensors, strict=False)
    assert not unknown
    assert all(name.endswith("num_batches_tracked") for name in missing)
    return module.eval()
