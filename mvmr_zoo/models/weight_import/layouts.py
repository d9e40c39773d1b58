"""Split the tensors of a weights file into encoder, projector and classifier.

Supported layouts, where `*` are the tensor names of a torchvision ResNet:

    .pth   {"encoder": {"backbone.*", "projector.*"}, "online_finetuner": {...}}      SSL and distillation
    .pth   {"encoder": {"*"}, "classifier": {...}}                                    semi-supervised and VOC07
    .ckpt  {"state_dict": {"_encoder.backbone.*", "_encoder.projector.*", "clip.*"}}  Lightning checkpoint of the first
    .ckpt  {"state_dict": {"encoder.*", "classifier.*"}}                              Lightning checkpoint of the second
    .pth   {"*", "fc.*"}                                                              torchvision and timm ResNets
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

_TEACHER_NAME = "clip"
_CLASSIFIER_NAMES = ("online_finetuner", "classifier", "fc")
_WRAPPER_NAMES = ("module", "model", "state_dict", "_orig_mod", "_encoder", "encoder", "backbone")
"""Prefixes of tensor names that depend on how the network was wrapped. They are removed."""

_MOST_SHARED = 4
"""Tensors may have this many times the size of their file. Weights that a network uses twice are stored once."""


@dataclass(frozen=True)
class Parts:
    """The tensors of one file, with the names of torchvision.

    Args:
        backbone: Tensors of the encoder, without the step counters of batch norm.
        projector: Tensors of the projector. Empty if there is none.
        classifier: Tensors of the classifier. Empty if there is none.
        dropped: Number of tensors of a teacher, which are skipped.
    """

    backbone: dict[str, Tensor]
    projector: dict[str, Tensor]
    classifier: dict[str, Tensor]
    dropped: int


def split(path: Path, content: Mapping[str, Any]) -> Parts:
    """Split the tensors of a file by the part of the model that they belong to.

    Args:
        path: File that the tensors were read from, for messages.
        content: Contents of the file.

    Raises:
        CheckpointError: A tensor occurs twice, or is not a dense tensor in memory. The message names it.
    """
    backbone: dict[str, Tensor] = {}
    projector: dict[str, Tensor] = {}
    classifier: dict[str, Tensor] = {}
    dropped = 0
    try:
        tensors = _tensors(content, set())
    except RecursionError:
        raise CheckpointError(f"{path}: the dictionaries are nested too deeply; expected a state dict.") from None
    stated_bytes = sum(tensor.numel() * tensor.element_size() for _, tensor in tensors)
    if stated_bytes > _MOST_SHARED * path.stat().st_size:
        raise CheckpointError(f"{path} has {stated_bytes / 1e6:,.0f} MB of tensors, many of which share their values.")
    for full_name, tensor in tensors:
        if is_counter(full_name):
            continue
        name = full_name.split(".")
        if _TEACHER_NAME in name:
            dropped += 1
            continue
        while name and name[0] in _WRAPPER_NAMES:
            name = name[1:]
        part, inner = backbone, name
        if name and name[0] == "projector":
            part, inner = projector, name[1:]
        elif name and name[0] in _CLASSIFIER_NAMES:
            part, inner = classifier, name[1:]
        key = ".".join(inner)
        if key in part:
            raise CheckpointError(
                f"{path}: {key} occurs twice, the second time as {full_name}. Save only one of the two networks."
            )
        part[key] = _checked_tensor(path, full_name, tensor)
    return Parts(backbone, projector, classifier, dropped)


def _checked_tensor(path: Path, name: str, tensor: Tensor) -> Tensor:
    """The detached tensor. Raises CheckpointError if the file does not contain all of its values."""
    dense = str(tensor.layout) == "torch.strided" and tensor.device.type == "cpu" and not tensor.is_quantized
    if not dense or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise CheckpointError(f"{path}: {name} is not a plain tensor with all of its values in the file.")
    return tensor.detach()


def linear(classifier: Mapping[str, Tensor], features: int) -> tuple[Tensor, Tensor] | None:
    """Weight `(classes, D)` and bias `(classes,)`, or None if the classifier is not one linear layer on features."""
    weights = [name for name, tensor in classifier.items() if tensor.ndim == 2]
    if len(weights) != 1 or classifier[weights[0]].shape[1] != features or not len(classifier[weights[0]]):
        return None
    weight = classifier[weights[0]]
    bias = classifier.get(weights[0].removesuffix("weight") + "bias")
    if bias is None:
        bias = weight.new_zeros(len(weight))
    return (weight, bias) if bias.shape == (len(weight),) and len(classifier) <= 2 else None


def _tensors(content: Mapping[str, Any], seen: set[int], prefix: str = "") -> list[tuple[str, Tensor]]:
    """All tensors in the parts of the file that contain weights, with their full names.

    Args:
        content: Contents of a part.
        seen: Identities of the parts before it. A part is read once, because a small pickle can refer to the same parts
            so often that reading them never ends.
        prefix: Name of the part, with a dot at its end.
    """
    if id(content) in seen:
        return []
    seen.add(id(content))
    tensors: list[tuple[str, Tensor]] = []
    weights = content if prefix or not isinstance(content.get("state_dict"), Mapping) else content["state_dict"]
    for key, value in weights.items():
        name = f"{prefix}{key}"
        if hasattr(value, "ndim") and hasattr(value, "is_floating_point"):
            tensors.append((name, value))
        elif isinstance(value, Mapping) and key in (*_WRAPPER_NAMES, *_CLASSIFIER_NAMES):
            tensors += _tensors(value, seen, f"{name}.")
    return tensors
