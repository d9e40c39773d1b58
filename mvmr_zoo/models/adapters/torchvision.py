"""Features of torchvision classification networks: `torchvision:NAME` and `torchvision:NAME@FILE`."""

from __future__ import annotations

from typing import Any

from mvmr_zoo.architectures import torchvision_networks
from mvmr_zoo.checkpoint import LICENSE_NOT_STATED, ModelCard
from mvmr_zoo.errors import MissingDependencyError, UnknownModelError, hint
from mvmr_zoo.images import Preprocess
from mvmr_zoo.models.adapters.record import ExternalEncoder
from mvmr_zoo.models.adapters.weights import fill, split_file, unavailable


def load(name: str, *, weights: bool = True) -> ExternalEncoder:
    """Load a torchvision network without its last linear layer.

    Args:
        name: NAME or NAME@FILE.
        weights: False downloads nothing and uses random weights if there is no FILE.

    Raises:
        UnknownModelError: The network does not exist, or its weights cannot be downloaded.
        CheckpointError: The file belongs to another network.
        MissingDependencyError: torchvision is not installed.
    """
    try:
        from torchvision import models
    except ImportError as error:
        raise MissingDependencyError("torchvision", "cpu", f"load torchvision:{name}") from error
    network, file = split_file(name)
    known = torchvision_networks.names()
    if network not in known:
        raise UnknownModelError(f"torchvision has no classification network {network!r}.{hint(network, known)}")
    pretrained = models.get_model_weights(network).DEFAULT
    try:
        module: Any = torchvision_networks.build(network, pretrained if weights and file is None else None)
    except Exception as error:  # downloads raise many types of errors
        raise unavailable(f"torchvision:{network}", error, origin=pretrained.url) from None
    if file is not None:
        fill(module, file)
    dim = torchvision_networks.cut_classifier(module)
    transforms = pretrained.transforms()
    return ExternalEncoder(
        card=ModelCard(
            name=f"torchvision:{network}",
            summary=f"torchvision {network}" + (f", weights {file.name}" if file else ""),
            architecture=network,
            embedding_dim=dim,
            preprocess=Preprocess(
                resize_px=transforms.resize_size[0],
                crop_px=transforms.crop_size[0],
                interpolation="bicubic" if transforms.interpolation.value == "bicubic" else "bilinear",
                mean=tuple(transforms.mean),
                std=tuple(transforms.std),
            ),
            license=LICENSE_NOT_STATED,
            origin="https://pytorch.org/vision/stable/models.html",
            parameters=sum(parameter.numel() for parameter in module.parameters()),
        ),
        module=module.eval(),
    )
