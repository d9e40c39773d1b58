"""`ModelCard` and the literal `CATALOG` table. No torch, no files."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What is known of one model.

    Args:
        name: what `load` is given.
        summary: one line for a table.
        architecture: a name in `encoder.BACKBONES`, or the foreign library's own.
        embedding_dim: D, the length of a feature vector.
        input_px: side of the square image the encoder reads.
        license: the weights' licence, or `not stated`.
        source: where the weights come from.
        bundled: whether the wheel carries the weights.
        published: figures their authors state, by benchmark, in percent.
        measured: figures this project measured, by protocol, as fractions in [0, 1].
    """

    name: str
    summary: str
    architecture: str
    embedding_dim: int
    input_px: int
    license: str
    source: str
    bundled: bool = False
    published: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)


DEFAULT_MODEL = "resnet18-imagenette-kd"

_AUTHORS = "https://drive.google.com/drive/folders/"


def _published(
    name: str, summary: str, folder: str, input_px: int, published: Mapping[str, float], *, small_stem: bool = False
) -> ModelCard:
    return ModelCard(
        name=name,
        summary=summary,
        architecture="resnet50-small" if small_stem else "resnet50",
        embedding_dim=2048,
        input_px=input_px,
        license="not stated",
        source=_AUTHORS + folder,
        published=published,
    )


CATALOG: dict[str, ModelCard] = {
    card.name: card
    for card in (
        ModelCard(
            name=DEFAULT_MODEL,
            summary="distilled from EfficientNet-Lite0 on Imagenette by this project; comes in the package",
            architecture="resnet18",
            embedding_dim=512,
            input_px=128,
            license="apache-2.0",
            source="trained by mvmr-zoo, `python -m training.distill`",
            bundled=True,
        ),
        _published(
            "resnet50-stl10",
            "MV-MR pretraining on STL10",
            "1ljf0ZHDZSTsB-4aKTCrYIoyFS9gANSQR",
            96,
            {"stl10/linear/top1": 89.67, "stl10/linear/top5": 99.46},
            small_stem=True,
        ),
        _published(
            "resnet50-imagenet",
            "MV-MR pretraining on ImageNet-1K",
            "1Ck0MzmXsu--m8vzNRRD2oW3Qi9qDRYJr",
            224,
            {"imagenet/linear/top1": 74.5, "imagenet/linear/top5": 92.1},
        ),
        _published(
            "resnet50-cifar20",
            "MV-MR pretraining on CIFAR20",
            "1lUhgq5ZGV0_wklWao1_0jlFueFHQd-yD",
            32,
            {"cifar20/linear/top1": 73.2, "cifar20/linear/top5": 95.6},
            small_stem=True,
        ),
        _published(
            "resnet50-imagenet-semi1",
            "fine-tuned on 1 % of ImageNet's labels",
            "1BugB2eAw3taII3Ug2vPI-6jVnqfw58I6",
            224,
            {"imagenet/semi1/top1": 56.1, "imagenet/semi1/top5": 79.4},
        ),
        _published(
            "resnet50-imagenet-semi10",
            "fine-tuned on 10 % of ImageNet's labels",
            "1Y9s_iVVI_6o9vqNTW3v_gaDYOLbFjPyY",
            224,
            {"imagenet/semi10/top1": 69.9, "imagenet/semi10/top5": 89.5},
        ),
        _published(
            "resnet50-voc07",
            "linear classification of VOC07",
            "13dsE_rIu2_wJVddcdEPMHTsZIuhHQMHB",
            300,
            {"voc07/linear/map": 87.1},
        ),
        _published(
            "resnet50-clip-kd",
            "distilled from CLIP ViT-B/16 on ImageNet-1K",
            "1LYR_U683CT7xVP9__DjMIjR9lMaX8jhQ",
            224,
            {"imagenet/linear/top1": 75.3},
        ),
        _published(
            "resnet50-clip-kd-stl10",
            "distilled from CLIP ViT-B/16 on STL10",
            "1lCGvOZvoJ8CLNoPLPEoQAJ76sWZtCClB",
            96,
            {"stl10/linear/top1": 95.6},
        ),
        _published(
            "resnet50-clip-kd-cifar100",
            "distilled from CLIP ViT-B/16 on CIFAR100",
            "1gBMqJ4dvVp2wiNnCo1Uzz5rXC9rqmq53",
            32,
            {"cifar100/linear/top1": 78.6},
            small_stem=True,
        ),
    )
}
"""Every model this package knows by name. Published figures: the paper's tables, in percent."""


def closest_names(name: str, names: Iterable[str] = CATALOG) -> list[str]:
    """At most three of `names`, the catalogue's by default, that look like `name`, the closest first."""
    return difflib.get_close_matches(name, list(names), n=3, cutoff=0.4)
