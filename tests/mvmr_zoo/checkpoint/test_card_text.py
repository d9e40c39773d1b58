from __future__ import annotations

import dataclasses
from pathlib import Path

from huggingface_hub import ModelCard

from mvmr_zoo.checkpoint import Checkpoint, readme_text
from mvmr_zoo.checkpoint.card import Figure

from ...hub_client import HubClient
from ...hub_server import HubServer

FIGURES = {
    "imagenette/knn-v1": Figure(value=0.5, low=0.4, high=0.6, images=100, source="reports/a.json"),
    "voc07/voc07-v1": Figure(value=0.7),
    "held_out/knn-v1": Figure(value=0.8),
    "imagenette/knn-v1 of the teacher": Figure(value=0.9),
}


def test_metadata_is_accepted_by_the_hub(hub: HubServer, checkpoint: Checkpoint, tmp_path: Path) -> None:
    text = readme_text(dataclasses.replace(checkpoint.config, metrics=FIGURES))
    card = ModelCard(text)
    assert card.data.license == "apache-2.0"
    assert card.data.library_name == "mvmr-zoo"
    assert card.data.pipeline_tag == "image-feature-extraction"
    found = [
        (each.dataset_name, each.metric_name, each.metric_type, each.metric_value) for each in card.data.eval_results
    ]
    assert found == [
        ("imagenette", "knn-v1", "accuracy", 0.5),
        ("voc07", "voc07-v1", "mean_average_precision", 0.7),
    ]
    (tmp_path / "README.md").write_text(text)
    code = "import sys, huggingface_hub; huggingface_hub.ModelCard.load(sys.argv[1]).validate()"
    done = HubClient(hub, tmp_path / "user").run("-c", code, str(tmp_path / "README.md"))
    assert done.returncode == 0, done.stderr
    assert [request.path for request in hub.requests] == ["/api/validate-yaml"]


def test_contents(checkpoint: Checkpoint) -> None:
    facts = dataclasses.replace(
        checkpoint.config, metrics=FIGURES, data=("imagenette",), note="It knows ten things.",
        class_names=("cat", "dog"), training={"optim": {"peak_lr": 0.001}},
    )  # fmt: skip
    text = readme_text(facts, spec="hf-hub:org/tiny")
    for words in (
        'mvmr_zoo.load("hf-hub:org/tiny")', "Training data: imagenette.", "peak_lr: 0.001", "It knows ten things.",
        "| imagenette/knn-v1 | 0.500 | 0.400 to 0.600 | 100 | reports/a.json |", "| held_out/knn-v1 | 0.800 |  |  |  |",
        "a classifier with 2 classes", "License of the weights: apache-2.0.", "@article{kinakh2024mvmr",
    ):  # fmt: skip
        assert words in text


def test_weights_without_a_license(checkpoint: Checkpoint) -> None:
    text = readme_text(dataclasses.replace(checkpoint.config, license="not stated"))
    assert ModelCard(text).data.license == "unknown"
    assert "The authors of the weights do not state a license." in text
