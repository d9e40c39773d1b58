"""Features of torchvision's classification networks: `torchvision:NAME`, `torchvision:NAME@FILE`."""

from __future__ import annotations

from typing import Any

from mvmr_zoo.card import LICENSE_NOT_STATED, ModelCard
from mvmr_zoo.errors import MissingDependencyError, UnknownModelError, closest
from mvmr_zoo.foreign.record import ForeignEncoder
from mvmr_zoo.foreign.weights import fill, split_file, unavailable
from mvmr_zoo.preprocess import Preprocess

_CLASSIFIERS = ("fc", "classifier", "head", "heads")
"""What the classification networks call their last part."""


def load(name: str) -> ForeignEncoder:
    """The network without its last linear layer.

    Raises:
        UnknownModelError: no such network, or its weights are not here and cannot be got.
        CheckpointError: the file is of another network.
        MissingDependencyError: torchvision is not installed.
    """
    try:
        from torchvision import models
    except ImportError as error:
        raise MissingDependencyError("torchvision", "cpu", f"load torchvision:{name}") from error
    network, file = split_file(name)
    known = [each for each in models.list_models(module=models) if each not in ("googlenet", "inception_v3")]
    if network not in known:
        near = closest(network, known)
        raise UnknownModelError(
            f"torchvision has no classification network {network!r}. Closest: {', '.join(near) or 'none'}."
        )
    weights = models.get_model_weights(network).DEFAULT
    try:
        module: Any = models.get_model(network, weights=None if file else weights)
    except Exception as error:  # whatever the network raises
        raise unavailable(f"torchvision:{network}", error, origin=weights.url) from None
    if file is not None:
        fill(module, file)
    dim = _cut(module)
    shown = weights.transforms()
    return ForeignEncoder(
        card=ModelCard(
            name=f"torchvision:{network}",
            summary=f"torchvision's {network}" + (f", weights {file.name}" if file else ""),
            architecture=network,
            embedding_dim=dim,
            preprocess=Preprocess(
                resize_px=shown.resize_size[0],
                crop_px=shown.crop_size[0],
                interpolation="bicubic" if shown.interpolation.value == "bicubic" else "bilinear",
                mean=tuple(shown.mean),
                std=tuple(shown.std),
            ),
            license=LICENSE_NOT_STATED,
            origin="https://pytorch.org/vision/stable/models.html",
        ),
        module=module.eval(),
    )


def _cut(module: Any) -> int:
    """Replace the last linear layer by an identity; how many features it read."""
    from torch import nn

    holder, name = next((module, each) for each in _CLASSIFIERS if hasattr(module, each))
    while not isinstance(getattr(holder, name), nn.Linear):
        holder = getattr(holder, name)
        linear = [each for each, child in holder.named_children() if isinstance(child, nn.Linear)]
        if not linear:  # squeezenet classifies by a convolution
            dim = int(next(c.in_channels for c in holder.children() if isinstance(c, nn.Conv2d)))
            module.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1))
            return dim
        name = linear[-1]
    dim = int(getattr(holder, name).in_features)
    setattr(holder, name, nn.Identity())
    return dim
