"""The tensors of a weights file, as encoder, projector and classifier.

Layouts that are read:

    .pth   {"encoder": {"backbone.*", "projector.*"}, "online_finetuner": {...}}   the paper's SSL and distillation
    .pth   {"encoder": {"*"}, "classifier": {...}}   the paper's semi-supervised and VOC07
    .ckpt  {"state_dict": {"_encoder.backbone.*", "_encoder.projector.*", "clip.*"}} Lightning's of the former
    .ckpt  {"state_dict": {"encoder.*", "classifier.*"}}                             Lightning's of the latter
    .pth   {"*", "fc.*"}                                                             torchvision's and timm's ResNets

where `*` are torchvision's ResNet names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvmr_zoo.architectures import is_counter
from mvmr_zoo.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

_TEACHER = "clip"
_CLASSIFIERS = ("online_finetuner", "classifier", "fc")
_WRAPPERS = ("module", "model", "state_dict", "_orig_mod", "_encoder", "encoder", "backbone")
"""Beginnings of names that say where a tensor was kept, not what it is."""


@dataclass(frozen=True)
class Parts:
    """The tensors of one file, by torchvision's names.

    Args:
        backbone: of the encoder, batch norm's step counters left out.
        projector: of the projector, empty where there is none.
        classifier: of whatever classifies its features, empty where there is none.
        dropped: how many tensors were a teacher's.
    """

    backbone: dict[str, Tensor]
    projector: dict[str, Tensor]
    classifier: dict[str, Tensor]
    dropped: int


def split(path: Path, found: Mapping[str, Any]) -> Parts:
    """Sort the tensors of a file by what they belong to.

    Raises:
        CheckpointError: a tensor stands in the file twice, or is not a plain one; names it.
    """
    backbone: dict[str, Tensor] = {}
    projector: dict[str, Tensor] = {}
    classifier: dict[str, Tensor] = {}
    dropped = 0
    try:
        tensors = _tensors(found)
    except RecursionError:
        raise CheckpointError(f"{path}: its dictionaries nest too deeply; expected a state dict.") from None
    for whole, tensor in tensors:
        if is_counter(whole):
            continue
        name = whole.split(".")
        if _TEACHER in name:
            dropped += 1
            continue
        while name and name[0] in _WRAPPERS:
            name = name[1:]
        part, inner = backbone, name
        if name and name[0] == "projector":
            part, inner = projector, name[1:]
        elif name and name[0] in _CLASSIFIERS:
            part, inner = classifier, name[1:]
        key = ".".join(inner)
        if key in part:
            raise CheckpointError(
                f"{path}: {key} stands in it twice, the second time as {whole}. Save one of the two networks alone."
            )
        part[key] = _plain(path, whole, tensor)
    return Parts(backbone, projector, classifier, dropped)


def _plain(path: Path, name: str, tensor: Tensor) -> Tensor:
    """The tensor, off the graph of gradients. Raises CheckpointError where its values are not all in the file."""
    kept = str(tensor.layout) == "torch.strided" and tensor.device.type == "cpu" and not tensor.is_quantized
    if not kept or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise CheckpointError(f"{path}: {name} is not a plain tensor with all of its values in the file.")
    return tensor.detach()


def linear(classifier: Mapping[str, Tensor], features: int) -> tuple[Tensor, Tensor] | None:
    """Weight `(classes, D)` and bias `(classes,)` of a classifier that is one linear layer on the features."""
    weights = [name for name, tensor in classifier.items() if tensor.ndim == 2]
    if len(weights) != 1 or classifier[weights[0]].shape[1] != features or not len(classifier[weights[0]]):
        return None
    weight = classifier[weights[0]]
    bias = classifier.get(weights[0].removesuffix("weight") + "bias")
    if bias is None:
        bias = weight.new_zeros(len(weight))
    return (weight, bias) if bias.shape == (len(weight),) and len(classifier) <= 2 else None


def _tensors(found: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Tensor]]:
    """Every tensor below the parts of the file that hold weights, with its whole name."""
    tensors: list[tuple[str, Tensor]] = []
    weights = found if prefix or not isinstance(found.get("state_dict"), Mapping) else found["state_dict"]
    for key, value in weights.items():
        name = f"{prefix}{key}"
        if hasattr(value, "ndim") and hasattr(value, "is_floating_point"):
            tensors.append((name, value))
        elif isinstance(value, Mapping) and key in (*_WRAPPERS, *_CLASSIFIERS):
            tensors += _tensors(value, f"{name}.")
    return tensors
