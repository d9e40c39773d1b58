"""Pooled features of timm's networks: `timm:NAME`, `timm:NAME@FILE`."""

from __future__ import annotations

from typing import Any

from mvmr_zoo.architectures import timm_networks
from mvmr_zoo.checkpoint import LICENSE_NOT_STATED, ModelCard
from mvmr_zoo.errors import ConfigError, UnknownModelError, hint
from mvmr_zoo.images import Preprocess
from mvmr_zoo.models.adapters.record import ExternalEncoder
from mvmr_zoo.models.adapters.weights import fill, split_file, unavailable

_HEADS = ("fc.", "head.", "head.fc.", "classifier.", "head_dist.")


def load(name: str, *, weights: bool = True) -> ExternalEncoder:
    """The network without its classifier.

    Args:
        name: NAME or NAME@FILE. NAME.TAG chooses the weights.
        weights: False gives random weights where there is no FILE, and downloads nothing.

    Raises:
        UnknownModelError: no such network, or its weights are not here and cannot be got.
        CheckpointError: the file is of another network.
        MissingDependencyError: timm is not installed.
    """
    network, file = split_file(name)
    if not timm_networks.is_known(network.partition(".")[0]):
        raise UnknownModelError(f"timm has no network {network!r}.{hint(network, timm_networks.names())}")
    try:
        module: Any = timm_networks.build(network, pretrained=weights and file is None)
    except Exception as error:  # whatever the network and the hub raise
        raise unavailable(f"timm:{network}", error) from None
    if file is not None:
        fill(module, file, ignore=_classifier(module))
    values = timm_networks.data_config(module)
    return ExternalEncoder(
        card=ModelCard(
            name=f"timm:{network}",
            summary=f"timm's {network}" + (f", weights {file.name}" if file else ""),
            architecture=network,
            embedding_dim=timm_networks.embedding_dim(module),
            preprocess=_preprocess(values, network),
            license=LICENSE_NOT_STATED,
            origin="https://github.com/huggingface/pytorch-image-models",
            parameters=sum(each.numel() for each in module.parameters()),
        ),
        module=module.eval(),
    )


def _classifier(module: Any) -> tuple[str, ...]:
    """Beginnings of the names of what was cut off, as the network itself says."""
    named = module.pretrained_cfg.get("classifier") or ()
    return tuple(f"{each}." for each in ((named,) if isinstance(named, str) else named)) or _HEADS


def _preprocess(values: dict[str, Any], name: str) -> Preprocess:
    _, height, width = values["input_size"]
    if height != width or values.get("crop_mode", "center") != "center":
        raise ConfigError(
            f"timm:{name} wants images of {width} x {height}, cropped by {values.get('crop_mode')}; only squares "
            "cut from the center are offered here."
        )
    return Preprocess(
        resize_px=max(height, int(height / values["crop_pct"])),
        crop_px=height,
        interpolation="bicubic" if values["interpolation"] == "bicubic" else "bilinear",
        mean=tuple(values["mean"]),
        std=tuple(values["std"]),
    )
