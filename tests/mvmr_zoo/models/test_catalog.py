from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mvmr_zoo import CATALOG
from mvmr_zoo.architectures.encoder import BACKBONES, Encoder
from mvmr_zoo.checkpoint.card import Figure
from mvmr_zoo.models.catalog import BUNDLED_MODEL, PARAMETERS, PREPROCESSING


@pytest.mark.parametrize("name", CATALOG)
def test_facts_are_recomputed(name: str) -> None:
    card = CATALOG[name]
    counter = FlopCounterMode(display=False)
    with torch.device("meta"), torch.inference_mode():  # only shapes are computed
        encoder = Encoder(card.architecture).eval()
        with counter:
            encoder(torch.zeros(1, 3, card.input_px, card.input_px))
    assert card.embedding_dim == encoder.embedding_dim
    assert card.parameters == sum(parameter.numel() for parameter in encoder.parameters())
    assert card.macs == counter.get_total_flops() // 2


def test_parameters_of_every_architecture() -> None:
    for name in BACKBONES:
        with torch.device("meta"):
            encoder = Encoder(name)
        assert PARAMETERS[name] == sum(parameter.numel() for parameter in encoder.parameters())
    assert PARAMETERS.keys() == BACKBONES.keys()


def test_published_figures_equal_the_paper() -> None:
    """The figures equal those in the paper."""
    said = {name: {key: figure.value for key, figure in card.published.items()} for name, card in CATALOG.items()}
    paper = {
        BUNDLED_MODEL: {},
        "resnet50-stl10": {"stl10/linear": 0.8967, "stl10/linear/top5": 0.9946},
        "resnet50-imagenet": {"imagenet/linear": 0.745, "imagenet/linear/top5": 0.921},
        "resnet50-cifar20": {"cifar20/linear": 0.732, "cifar20/linear/top5": 0.956},
        "resnet50-imagenet-semi1": {"imagenet/semi": 0.561, "imagenet/semi/top5": 0.794},
        "resnet50-imagenet-semi10": {"imagenet/semi": 0.699, "imagenet/semi/top5": 0.895},
        "resnet50-voc07": {"voc07/voc07": 0.871},
        "resnet50-clip-kd": {"imagenet/linear": 0.753},
        "resnet50-clip-kd-stl10": {"stl10/linear": 0.956},
        "resnet50-clip-kd-cifar100": {"cifar100/linear": 0.786},
    }
    assert {name: said[name] for name in paper} == paper
    small = [name for name in paper if CATALOG[name].architecture == "resnet50-small"]
    assert small == ["resnet50-stl10", "resnet50-cifar20", "resnet50-clip-kd-cifar100"]
    for card in (CATALOG[name] for name in paper):
        if card.location != "package":
            assert card.license == "not stated"
            assert card.origin.startswith("https://drive.google.com/drive/folders/1")
            assert all("Entropy 2024" in figure.source for figure in card.published.values())
    assert len({CATALOG[name].origin for name in paper}) == len(paper)
    assert PREPROCESSING["voc07"].crop_px == CATALOG["resnet50-voc07"].input_px == 300


def test_a_measured_figure_is_preferred_to_a_published_one() -> None:
    card = dataclasses.replace(
        CATALOG["resnet50-stl10"], measured={"stl10/linear-v1": Figure(value=0.5), "stl10/knn-v1": Figure(value=0.4)}
    )
    found = [card.figure(name) for name in ("stl10/linear", "stl10/linear-v1", "stl10/linear/top5", "none")]
    assert [figure and figure.value for figure in found] == [0.5, 0.5, 0.9946, None]
