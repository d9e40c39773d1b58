"""From a weights file to a checkpoint folder in the zoo."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mvmr_zoo._io import read_json_object
from mvmr_zoo.architectures import differences
from mvmr_zoo.checkpoint import (
    LICENSE_NOT_STATED,
    SCHEMA_VERSION,
    Checkpoint,
    CheckpointConfig,
    Head,
    ModelCard,
    file_digest,
)
from mvmr_zoo.errors import CheckpointError, ConfigError, closest, printable
from mvmr_zoo.images import Preprocess
from mvmr_zoo.models.catalog import CATALOG, PAPER, PREPROCESSING
from mvmr_zoo.models.paths import zoo_folder
from mvmr_zoo.models.resolve import local_folder
from mvmr_zoo.models.weight_import.class_names import class_names
from mvmr_zoo.models.weight_import.layouts import Parts, linear, split
from mvmr_zoo.models.weights_file import read_weights_file

if TYPE_CHECKING:
    import os

    import torch
    from torch import Tensor

    from mvmr_zoo.architectures import Encoder

_MULTILABEL = ("voc07",)
"""Data sets whose photos show several classes at once."""


class Imported(NamedTuple):
    """The folder made, and what was noticed on the way, a sentence each."""

    checkpoint: Checkpoint
    notes: list[str]


def import_weights(
    file: str | os.PathLike[str], name: str, *, preprocess: str | None = None, keep_projector: bool = False
) -> Imported:
    """Make a checkpoint folder of a weights file; `load(name)` finds it from then on.

    The file is read without executing anything in it; the architecture is that whose shapes it has. Weights are
    kept as they are, in fp32 or fp16, so features equal those of the network they come from.

    Args:
        file: the paper authors' .pth or Lightning's .ckpt, or a ResNet's of torchvision or timm.
        name: of the model; a catalog name brings its architecture, preprocessing and class names.
        preprocess: `imagenet`, `stl10`, `cifar`, `voc07`, or a JSON file of `Preprocess`'s fields; needed for names
            that are not in the catalog.
        keep_projector: keep the projector's weights, to go on with training.

    Raises:
        ConfigError: the name cannot be used or is taken, or the preprocessing is missing or unknown.
        CheckpointError: the file cannot be read, would run code, or is of another network.
        MissingDependencyError: PyTorch is not installed.
    """
    from mvmr_zoo.models.save import save_encoder

    path = Path(file)
    folder = zoo_folder(name)
    row = CATALOG.get(name)
    _check_free(name, row)
    chosen = _preprocess(name, preprocess, row)
    parts = split(path, read_weights_file(path))
    _check_finite(path, parts)
    encoder = _encoder(path, parts.backbone)
    if row is not None and row.architecture != encoder.architecture:
        raise CheckpointError(
            f"{path} is a {encoder.architecture}; {name} in the catalog is a {row.architecture}. Import it under "
            "another name."
        )
    head = _head(parts, encoder.embedding_dim, row)
    config = CheckpointConfig(
        schema_version=SCHEMA_VERSION,
        name=name,
        architecture=encoder.architecture,
        embedding_dim=encoder.embedding_dim,
        preprocess=chosen,
        license=row.license if row is not None else LICENSE_NOT_STATED,
        source=f"Imported from {printable(path.name)}, SHA-256 {file_digest(path)}"
        + (f"; weights of {PAPER}, published at {row.origin}." if row is not None else "."),
        task=row.task if row is not None else "",
        data=row.data if row is not None else (),
        class_names=head.class_names,
        scores="sigmoid" if row is not None and row.data[0] in _MULTILABEL else "softmax",
    )
    kept = {key: value.float() for key, value in parts.projector.items()} if keep_projector else {}
    made = save_encoder(encoder, folder, config, dtype=_dtype(parts.backbone), head=head.head, projector=kept or None)
    return Imported(made, [*_notes(parts, kept=keep_projector), *head.notes])


def _check_free(name: str, row: ModelCard | None) -> None:
    if (taken := local_folder(name)) is not None:
        raise ConfigError(
            f"{name} is on this machine already: {taken.path}. Choose another name, or remove that folder."
        )
    if row is not None and row.pin is not None:
        raise ConfigError(f"{name} is pinned to hf-hub:{row.pin.repo}; `load({name!r})` gets it. Choose another name.")


def _notes(parts: Parts, *, kept: bool) -> list[str]:
    notes = [f"A teacher's tensors were left out ({parts.dropped})."] if parts.dropped else []
    if parts.projector and not kept:
        notes.append("Its projector was left out.")
    if kept and not parts.projector:
        notes.append("It has no projector to keep.")
    return notes


def _preprocess(name: str, given: str | None, row: ModelCard | None) -> Preprocess:
    if given is None and row is None:
        raise ConfigError(
            f"{name!r} is not in the catalog, so how its photos are prepared must be said: preprocess is one of "
            f"{', '.join(PREPROCESSING)}, or a JSON file."
        )
    if given is None:
        assert row is not None
        return row.preprocess
    if given in PREPROCESSING:
        return PREPROCESSING[given]
    if not Path(given).is_file():
        near = closest(given, PREPROCESSING) or list(PREPROCESSING)
        raise ConfigError(f"preprocess got {given!r}, which is no file. Closest: {', '.join(near)}.")
    try:
        return Preprocess.from_dict(read_json_object(Path(given)))
    except (ValueError, ConfigError) as error:
        raise ConfigError(f"preprocess {given}: {error}") from None


def _encoder(path: Path, backbone: Mapping[str, Tensor]) -> Encoder:
    """The encoder whose tensors have these names and shapes, filled with them."""
    import torch

    from mvmr_zoo.architectures import BACKBONES, Encoder

    found = {f"backbone.{name}": tensor for name, tensor in backbone.items()}
    wrong: dict[str, list[str]] = {}
    for architecture in BACKBONES:
        with torch.device("meta"):
            wrong[architecture] = differences(found, Encoder(architecture).state_dict())
    best = min(wrong, key=lambda architecture: len(wrong[architecture]))
    if wrong[best]:
        raise CheckpointError(
            f"{path} is of no architecture known here ({', '.join(BACKBONES)}). Closest: {best}, where "
            f"{len(wrong[best])} tensors differ: {wrong[best][0].removeprefix('backbone.')}."
        )
    encoder = Encoder(best)
    encoder.load_weights(found)
    return encoder


class _NamedHead(NamedTuple):
    """A classifier, the names of its classes, and what was noticed."""

    head: Head | None = None
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _head(parts: Parts, features: int, row: ModelCard | None) -> _NamedHead:
    if not parts.classifier:
        return _NamedHead()
    found = linear(parts.classifier, features)
    if found is None:
        return _NamedHead(notes=("Its classifier is not one linear layer on the features; it was left out.",))
    weight, bias = (tensor.float().numpy() for tensor in found)
    names, said = class_names(row.data[0] if row is not None else None, len(weight))
    return _NamedHead(Head(weight, bias), names, (f"Its classifier has {len(names)} classes, {said}.",))


def _dtype(tensors: Mapping[str, Tensor]) -> torch.dtype:
    """What the weights are kept in: fp16 where all of them are, else fp32."""
    import torch

    return torch.float16 if {tensor.dtype for tensor in tensors.values()} == {torch.float16} else torch.float32


def _check_finite(path: Path, parts: Parts) -> None:
    for tensors in (parts.backbone, parts.classifier, parts.projector):
        for name, tensor in tensors.items():
            if not tensor.is_floating_point() or not tensor.isfinite().all():
                raise CheckpointError(f"{path}: {name} holds values that are not finite numbers.")
