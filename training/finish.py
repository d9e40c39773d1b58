"""From a trained encoder to the checkpoint folder that `mvmr_zoo.load` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from mvmr_zoo.card import Figure
from mvmr_zoo.checkpoint import SCHEMA_VERSION, Checkpoint, CheckpointConfig, Head
from mvmr_zoo.encoder import Encoder
from mvmr_zoo.pack import pack
from training.config import TaskConfig
from training.record import data_name, note, recipe, task, training_record


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
    facts = CheckpointConfig(
        schema_version=SCHEMA_VERSION,
        name=config.run.name,
        architecture=encoder.architecture,
        embedding_dim=encoder.embedding_dim,
        preprocess=config.views.encoder_preprocess,
        license=config.run.license,
        source=recipe(config),
        task=task(config),
        data=(data_name(config),),
        note=note(config),
        training=training_record(config),
        metrics={name: Figure(value=value, source="the training run") for name, value in metrics.items()},
        class_names=tuple(class_names),
    )
    return pack(encoder, Path(config.run.output) / config.run.name, facts, dtype=torch.float16, head=head)
