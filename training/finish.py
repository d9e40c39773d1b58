"""From a trained encoder to the checkpoint folder that `mvmr_zoo.load` reads."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch

from mvmr_zoo.checkpoint import SCHEMA_VERSION, Checkpoint, CheckpointConfig, golden_images, write_checkpoint
from mvmr_zoo.encoder import Encoder
from mvmr_zoo.graph import weightless_graph
from mvmr_zoo.runtime import OnnxEngine
from training.config import DistillConfig
from training.views import student_preprocess


def finish(encoder: Encoder, config: DistillConfig, folder: Path, metrics: Mapping[str, float]) -> Checkpoint:
    """Write the checkpoint folder of a trained encoder: fp16 weights, graph, golden answers, card.

    Args:
        encoder: as trained; it comes back in evaluation mode, its weights rounded to fp16.
        config: the run that trained it.
        folder: where to.
        metrics: measured figures by protocol, as fractions.

    Raises:
        CheckpointError: something else stands there, or the encoder in ONNX Runtime differs from PyTorch.
    """
    weights = {name: tensor.to(torch.float16) for name, tensor in encoder.weights().items()}
    encoder.load_weights(weights)
    encoder.eval().to("cpu").to(memory_format=torch.contiguous_format)
    preprocess = student_preprocess(config.views.encoder_px)
    with torch.inference_mode():
        golden = encoder(torch.from_numpy(golden_images(preprocess.crop_px))).numpy()
    facts = CheckpointConfig(
        schema_version=SCHEMA_VERSION,
        name=config.run.name,
        architecture=encoder.architecture,
        embedding_dim=encoder.embedding_dim,
        preprocess=preprocess,
        license=config.run.license,
        source=f"trained by mvmr-zoo, `python -m training.distill`, teacher {_teacher_name(config)}",
        training=training_record(config),
        metrics=metrics,
    )
    checkpoint = write_checkpoint(
        folder,
        facts,
        weights={name: tensor.numpy() for name, tensor in weights.items()},
        graph=weightless_graph(encoder, size_px=preprocess.crop_px),
        golden=golden,
        card=model_card(facts),
    )
    checkpoint.check_golden(OnnxEngine(checkpoint.graph(), checkpoint.weights()))
    return checkpoint


def training_record(config: DistillConfig) -> dict[str, object]:
    """The configuration as plain values; folders of the machine that trained are left out."""
    values = json.loads(json.dumps(dataclasses.asdict(config)))
    values["teacher"] = _teacher_name(config)
    values["data"]["train"] = Path(values["data"]["train"]).parent.name
    del values["run"]["output"]
    record: dict[str, object] = values
    return record


def _teacher_name(config: DistillConfig) -> str:
    """The teacher's spec, or the name of its folder."""
    return Path(config.teacher).name if os.path.isdir(config.teacher) else config.teacher


def model_card(facts: CheckpointConfig) -> str:
    """The README.md of a checkpoint folder, with the Hub's metadata."""
    loss, run = facts.training["loss"], facts.training["run"]
    terms = [name for name in ("invariance", "variance", "views", "teacher", "regression") if loss[name]]
    weighted = ", ".join(f"{name} (weight {loss[name]:g})" for name in terms)
    estimator = loss["estimator"] if {"views", "teacher"} & set(terms) else "not used"
    figures = "\n".join(f"| {name} | {value:.3f} |" for name, value in facts.metrics.items())
    return f"""---
license: {facts.license}
library_name: mvmr-zoo
pipeline_tag: image-feature-extraction
tags: [mvmr, knowledge-distillation, {facts.architecture}]
---
# {facts.name}

{facts.architecture}, {facts.embedding_dim} features, images of {facts.preprocess.crop_px} px.
{facts.source[0].upper()}{facts.source[1:]}, on {facts.training["data"]["train"]}.
Terms of its loss: {weighted}; distance correlation: {estimator}.

{run["note"]}

| measured | |
| --- | --- |
{figures}

```python
import mvmr_zoo

vectors = mvmr_zoo.load("{facts.name}").embed(["photo.jpg"])
```
"""
