"""Import a weights file as a checkpoint folder in the zoo."""

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
from mvmr_zoo.models.weight_import.layouts import Parts, linear, split
from mvmr_zoo.models.weights_file import read_weights_file

if TYPE_CHECKING:
    import os

    import torch
    from torch import Tensor

    from mvmr_zoo.architectures import Encoder

_MULTILABEL_DATA = ("voc07",)
"""Data sets with several classes per photo."""

_STL10 = "airplane bird car cat deer dog horse monkey ship truck"

_CIFAR20 = """
aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices household_furniture
insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes large_omnivores_and_herbivores
medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2
"""

_CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""

_VOC07 = """
aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep sofa
train tvmonitor
"""

_CLASS_NAMES = {"stl10": _STL10, "cifar20": _CIFAR20, "cifar100": _CIFAR100, "voc07": _VOC07}
"""Class names by data set, in the order of the outputs of a classifier."""

_IMAGENET_CLASSES = 1000


class Imported(NamedTuple):
    """The result of an import.

    Args:
        checkpoint: The new checkpoint folder.
        notes: Remarks for the user, one sentence each.
    """

    checkpoint: Checkpoint
    notes: list[str]


def import_weights(
    file: str | os.PathLike[str], name: str, *, preprocess: str | None = None, keep_projector: bool = False
) -> Imported:
    """Import a weights file as a checkpoint folder in the zoo. `load(name)` then loads it.

    No code in the file is executed. The architecture is found by the names and shapes of the tensors. Weights are
    stored unchanged in fp32 or fp16, so the features equal those of the original network.

    Args:
        file: Weights file: a .pth or Lightning .ckpt of the paper's authors, or a ResNet of torchvision or timm.
        name: Name of the new model. A catalog name sets the expected architecture, the preprocessing and the class
            names.
        preprocess: `imagenet`, `stl10`, `cifar`, `voc07`, or a JSON file with the fields of `Preprocess`. It is
            required for names that are not in the catalog.
        keep_projector: Keep the projector weights, to continue training.

    Raises:
        ConfigError: The name is not valid or already in use, or the preprocessing is missing or unknown.
        CheckpointError: The file cannot be read, may run code, or belongs to another network.
        MissingDependencyError: PyTorch is not installed.
    """
    from mvmr_zoo.models.save import save_encoder

    path = Path(file)
    folder = zoo_folder(name)
    row = CATALOG.get(name)
    _check_unused(name, row)
    resolved_preprocess = _preprocess(name, preprocess, row)
    parts = split(path, read_weights_file(path))
    _check_finite(path, parts)
    encoder = _encoder(path, parts.backbone)
    if row is not None and row.architecture != encoder.architecture:
        raise CheckpointError(
            f"{path} is a {encoder.architecture}, but {name} in the catalog is a {row.architecture}. Import it under "
            "another name."
        )
    head = _head(parts, encoder.embedding_dim, row)
    config = CheckpointConfig(
        schema_version=SCHEMA_VERSION,
        name=name,
        architecture=encoder.architecture,
        embedding_dim=encoder.embedding_dim,
        preprocess=resolved_preprocess,
        license=row.license if row is not None else LICENSE_NOT_STATED,
        source=f"Imported from {printable(path.name)}, SHA-256 {file_digest(path)}"
        + (f"; weights of {PAPER}, published at {row.origin}." if row is not None else "."),
        task=row.task if row is not None else "",
        data=row.data if row is not None else (),
        class_names=head.class_names,
        scores="sigmoid" if row is not None and row.data[0] in _MULTILABEL_DATA else "softmax",
    )
    projector = {key: value.float() for key, value in parts.projector.items()} if keep_projector else {}
    checkpoint = save_encoder(
        encoder, folder, config, dtype=_dtype(parts.backbone), head=head.head, projector=projector or None
    )
    return Imported(checkpoint, [*_notes(parts, keep_projector=keep_projector), *head.notes])


def _check_unused(name: str, row: ModelCard | None) -> None:
    if (existing := local_folder(name)) is not None:
        raise ConfigError(
            f"{name} is already on this machine: {existing.path}. Choose another name, or remove the folder."
        )
    if row is not None and row.pin is not None:
        raise ConfigError(
            f"{name} is published at hf-hub:{row.pin.repo}. Load it with `load({name!r})`, or choose another name."
        )


def _notes(parts: Parts, *, keep_projector: bool) -> list[str]:
    notes = [f"The teacher's tensors were skipped ({parts.dropped})."] if parts.dropped else []
    if parts.projector and not keep_projector:
        notes.append("The projector was skipped.")
    if keep_projector and not parts.projector:
        notes.append("The file has no projector to keep.")
    return notes


def _preprocess(name: str, given: str | None, row: ModelCard | None) -> Preprocess:
    if given is None and row is None:
        raise ConfigError(
            f"{name!r} is not in the catalog, so preprocess is required. Set it to one of {', '.join(PREPROCESSING)}, "
            "or to a JSON file."
        )
    if given is None:
        assert row is not None
        return row.preprocess
    if given in PREPROCESSING:
        return PREPROCESSING[given]
    if not Path(given).is_file():
        near = closest(given, PREPROCESSING) or list(PREPROCESSING)
        raise ConfigError(f"preprocess is {given!r}, which is not a file or a known name. Closest: {', '.join(near)}.")
    try:
        return Preprocess.from_dict(read_json_object(Path(given)))
    except (ValueError, ConfigError) as error:
        raise ConfigError(f"preprocess {given}: {error}") from None


def _encoder(path: Path, backbone: Mapping[str, Tensor]) -> Encoder:
    """The encoder of the architecture that matches the names and shapes of the tensors, with these weights."""
    import torch

    from mvmr_zoo.architectures import BACKBONES, Encoder

    weights = {f"backbone.{name}": tensor for name, tensor in backbone.items()}
    mismatches: dict[str, list[str]] = {}
    for architecture in BACKBONES:
        with torch.device("meta"):
            mismatches[architecture] = differences(weights, Encoder(architecture).state_dict())
    best = min(mismatches, key=lambda architecture: len(mismatches[architecture]))
    if mismatches[best]:
        raise CheckpointError(
            f"{path} does not match any known architecture ({', '.join(BACKBONES)}). Closest: {best}, with "
            f"{len(mismatches[best])} different tensors. First difference: "
            f"{mismatches[best][0].removeprefix('backbone.')}."
        )
    encoder = Encoder(best)
    encoder.load_weights(weights)
    return encoder


class _NamedHead(NamedTuple):
    """A classifier, its class names, and remarks for the user."""

    head: Head | None = None
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _head(parts: Parts, features: int, row: ModelCard | None) -> _NamedHead:
    if not parts.classifier:
        return _NamedHead()
    layer = linear(parts.classifier, features)
    if layer is None:
        return _NamedHead(notes=("The classifier is not a single linear layer on the features, and was skipped.",))
    weight, bias = (tensor.float().numpy() for tensor in layer)
    names, source = _class_names(row.data[0] if row is not None else None, len(weight))
    return _NamedHead(Head(weight, bias), names, (f"The classifier has {len(names)} classes.", source))


def _dtype(tensors: Mapping[str, Tensor]) -> torch.dtype:
    """The dtype to store: fp16 if all tensors are fp16, otherwise fp32."""
    import torch

    return torch.float16 if {tensor.dtype for tensor in tensors.values()} == {torch.float16} else torch.float32


def _check_finite(path: Path, parts: Parts) -> None:
    for tensors in (parts.backbone, parts.classifier, parts.projector):
        for name, tensor in tensors.items():
            if not tensor.is_floating_point() or not tensor.float().isfinite().all():
                raise CheckpointError(f"{path}: {name} contains NaN or infinite values.")


def _class_names(data: str | None, count: int) -> tuple[tuple[str, ...], str]:
    """The names of the classes of a classifier, and a sentence about their source.

    Args:
        data: Data set of the catalog entry. None if there is no entry.
        count: Number of outputs of the classifier.
    """
    if data in _CLASS_NAMES and len(names := _CLASS_NAMES[data].split()) == count:
        return tuple(name.replace("_", " ") for name in names), f"The class names are those of {data}."
    if data in (None, "imagenet") and count == _IMAGENET_CLASSES:
        from torchvision.models import ResNet50_Weights

        categories = tuple(ResNet50_Weights.DEFAULT.meta["categories"])
        return categories, "The class names are assumed to be those of ImageNet-1K in the usual order."
    return tuple(f"class {i}" for i in range(count)), "The class names are not in the file."
