"""Pooled features of timm networks: `timm:NAME` and `timm:NAME@FILE`."""

from __future__ import annotations

from typing import Any

from mvmr_zoo.architectures import timm_networks
from mvmr_zoo.checkpoint import LICENSE_NOT_STATED, ModelCard
from mvmr_zoo.errors import ConfigError, UnknownModelError, hint
from mvmr_zoo.images import Preprocess
from mvmr_zoo.models.adapters.record import ExternalEncoder
from mvmr_zoo.models.adapters.weights import fill, split_file, unavailable

_CLASSIFIER_PREFIXES = ("fc.", "head.", "head.fc.", "classifier.", "head_dist.")


def load(name: str, *, weights: bool = True) -> ExternalEncoder:
    """Load a timm network without its classifier.

    Args:
        name: NAME or NAME@FILE. NAME.TAG chooses the weights.
        weights: False downloads nothing and uses random weights if there is no FILE.

    Raises:
        UnknownModelError: The network does not exist, or its weights cannot be downloaded.
        ConfigError: The network needs images other than square center crops.
        CheckpointError: The file belongs to another network.
        MissingDependencyError: timm is not installed.
    """
    network, file = split_file(name)
    if not timm_networks.is_known(network.partition(".")[0]):
        raise UnknownModelError(f"timm has no network {network!r}.{hint(network, timm_networks.names())}")
    try:
        module: Any = timm_networks.build(network, pretrained=weights and file is None)
    except Exception as error:  # downloads and the Hub raise many types of errors
        raise unavailable(f"timm:{network}", error) from None
    if file is not None:
        fill(module, file, ignore=_classifier(module))
    values = timm_networks.data_config(module)
    return ExternalEncoder(
        card=ModelCard(
            name=f"timm:{network}",
            summary=f"timm {network}" + (f", weights {file.name}" if file else ""),
            architecture=network,
            embedding_dim=timm_networks.embedding_dim(module),
            preprocess=_preprocess(values, network),
            license=LICENSE_NOT_STATED,
            origin="https://github.com/huggingface/pytorch-image-models",
            parameters=sum(parameter.numel() for parameter in module.parameters()),
        ),
        module=module.eval(),
    )


def _classifier(module: Any) -> tuple[str, ...]:
    """Prefixes of the tensor names of the classifier, from the configuration of the network if it has them."""
    names = module.pretrained_cfg.get("classifier") or ()
    return tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names)) or _CLASSIFIER_PREFIXES


def _preprocess(values: dict[str, Any], name: str) -> Preprocess:
    _, height, width = values["input_size"]
    if height != width or values.get("crop_mode", "center") != "center":
        raise ConfigError(
            f"timm:{name} needs images of {width} x {height} px with the crop mode {values.get('crop_mode')}. Only "
            "square center crops are supported."
        )
    return Preprocess(
        resize_px=max(height, int(height / values["crop_pct"])),
        crop_px=height,
        interpolation="bicubic" if values["interpolation"] == "bicubic" else "bilinear",
        mean=tuple(values["mean"]),
        std=tuple(values["std"]),
    )
