"""From a trained encoder to the checkpoint folder that `mvmr_zoo.load` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from mvmr_zoo.checkpoint import SCHEMA_VERSION, Checkpoint, CheckpointConfig, Head, golden_images, write_checkpoint
from mvmr_zoo.encoder import Encoder
from mvmr_zoo.graph import weightless_graph
from mvmr_zoo.runtime import OnnxEngine
from training.config import TaskConfig
from training.record import recipe, training_record


def finish(
    encoder: Encoder,
    config: TaskConfig,
    metrics: Mapping[str, float],
    *,
    head: Head | None = None,
    class_names: Sequence[str] = (),
) -> Checkpoint:
    """Write the checkpoint folder of a trained encoder: fp16 weights, graph, golden answers, card.

    Args:
        encoder: as trained; it comes back in evaluation mode, its weights rounded to fp16.
        config: the run that trained it; the folder is `run.output/run.name`.
        metrics: measured figures by protocol, as fractions.
        head: a linear classifier of the features, where one was trained.
        class_names: of its outputs.

    Raises:
        CheckpointError: something else stands there, or the encoder in ONNX Runtime differs from PyTorch.
    """
    weights = {name: tensor.to(torch.float16) for name, tensor in encoder.weights().items()}
    encoder.load_weights(weights)
    encoder.eval().to("cpu").to(memory_format=torch.contiguous_format)
    preprocess = config.views.encoder_preprocess
    with torch.inference_mode():
        golden = encoder(torch.from_numpy(golden_images(preprocess.crop_px))).numpy()
    facts = CheckpointConfig(
        schema_version=SCHEMA_VERSION,
        name=config.run.name,
        architecture=encoder.architecture,
        embedding_dim=encoder.embedding_dim,
        preprocess=preprocess,
        license=config.run.license,
        source=recipe(config),
        training=training_record(config),
        metrics=metrics,
        class_names=tuple(class_names),
    )
    checkpoint = write_checkpoint(
        Path(config.run.output) / config.run.name,
        facts,
        weights={name: tensor.numpy() for name, tensor in weights.items()},
        graph=weightless_graph(encoder, size_px=preprocess.crop_px),
        golden=golden,
        card=model_card(facts),
        head=head,
    )
    checkpoint.check_golden(OnnxEngine(checkpoint.graph(), checkpoint.weights()))
    return checkpoint


def model_card(facts: CheckpointConfig) -> str:
    """The README.md of a checkpoint folder, with the Hub's metadata."""
    figures = "\n".join(f"| {name} | {value:.3f} |" for name, value in facts.metrics.items())
    return f"""---
license: {facts.license}
library_name: mvmr-zoo
pipeline_tag: image-feature-extraction
tags: [mvmr, {facts.architecture}]
---
# {facts.name}

{facts.architecture}, {facts.embedding_dim} features, images of {facts.preprocess.crop_px} px.
{facts.source} Data: {facts.training["data"]["train"]}.

{facts.training["run"]["note"]}

| measured | |
| --- | --- |
{figures}

```python
import mvmr_zoo

vectors = mvmr_zoo.load("{facts.name}").embed(["photo.jpg"])
```
"""
