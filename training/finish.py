"""Writes the checkpoint folder of a trained encoder, and describes the run for the folder and the model card."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mvmr_zoo.architectures import Encoder, without_counters
from mvmr_zoo.checkpoint import (
    SCHEMA_VERSION,
    Checkpoint,
    CheckpointConfig,
    Figure,
    Head,
    Task,
    alignment_from_projector,
)
from mvmr_zoo.datasets import NAMED
from mvmr_zoo.models import CATALOG, adapters, save_encoder
from training.config import DistillConfig, FinetuneConfig, PretrainConfig, TaskConfig
from training.console import say
from training.student import base_spec
from training.targets import TeacherSpace

_PATH_KINDS = ("local-dir", "onnx", "embeddings")
"""Kinds of model specs whose name is a path."""

_SPLITS = ("train", "training", "val", "valid", "validation", "test")
"""Folder names that identify a data set only together with the name of the parent folder."""


def finish(
    encoder: Encoder,
    config: TaskConfig,
    metrics: Mapping[str, Figure],
    *,
    projector: nn.Sequential | None = None,
    space: TeacherSpace | None = None,
    features: NDArray[np.float32] | None = None,
    head: Head | None = None,
    class_names: Sequence[str] = (),
) -> Checkpoint:
    """Write the checkpoint folder of a trained encoder: fp16 weights, graph, golden answers, card.

    An encoder that started from the weights of a package is stored as the difference from them.

    A distillation whose projector is one linear map gets a second output, `aligned`: the projection of the features
    into the teacher's space. It is the default then, because it retrieves better (docs/method.md).

    Args:
        encoder: The encoder. It is left in evaluation mode, with its weights rounded to fp16.
        config: Configuration of the run. The folder is `run.output/run.name`.
        metrics: Measured results by protocol.
        projector: The projector, stored so that training can continue from the folder.
        space: How the teacher's embeddings became targets.
        features: `(N, D)` features of some training images, by which the dimensions of `aligned` are ordered.
        head: A linear classifier of the features, if one was trained.
        class_names: Class names of its outputs.

    Raises:
        CheckpointError: The folder exists and is not a checkpoint folder, or ONNX Runtime and PyTorch differ.
    """
    say(f"Writing {Path(config.run.output) / config.run.name}")
    alignment = None
    follows = isinstance(config, DistillConfig) and config.loss.follows_teacher
    if follows and projector is not None and len(projector) == 1:
        linear = projector[0]
        assert isinstance(linear, nn.Linear)
        weight = linear.weight.detach().float().cpu().numpy()
        alignment = alignment_from_projector(
            weight,
            None if space is None else space.mean.cpu().numpy(),
            projection=None if space is None or space.projection is None else space.projection.cpu().numpy(),
            features=features,
        )
    facts = CheckpointConfig(
        schema_version=SCHEMA_VERSION,
        name=config.run.name,
        architecture=encoder.architecture,
        embedding_dim=encoder.embedding_dim,
        preprocess=config.views.encoder_preprocess,
        license=config.run.license,
        source=recipe(config),
        task=task(config),
        data=data_names(config),
        note=note(config),
        training=training_record(config),
        metrics=metrics,
        class_names=tuple(class_names),
        default_output="features" if alignment is None else "aligned",
    )
    return save_encoder(
        encoder,
        Path(config.run.output) / config.run.name,
        facts,
        dtype=torch.float16,
        head=head,
        projector=None if projector is None else _tensors(projector),
        alignment=alignment,
        base=base_spec(config.student),
    )


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """The weights of a projector on the CPU without batch norm's counters: in fp16 where it holds their values."""
    kept = {name: each.detach().cpu() for name, each in without_counters(module.state_dict()).items()}
    return {name: each.half() if each.half().isfinite().all() else each for name, each in kept.items()}


def training_record(config: TaskConfig) -> dict[str, Any]:
    """The configuration as plain values, without local paths and without options that have their own field."""
    record: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    record["data"]["train"] = [_without_folders(source) for source in config.data.sources]
    if len(config.data.sources) == 1:
        (record["data"]["train"],) = record["data"]["train"]
    del record["data"]["root"], record["data"]["cache"]
    for name in ("output", "license", "note", "published"):
        del record["run"][name]
    if config.student.start_from is not None:
        record["student"]["start_from"] = spec_name(config.student.start_from)
    if isinstance(config, DistillConfig):
        names = [spec_name(spec) for spec in config.teacher.specs]
        record["teacher"]["spec"] = names if len(names) > 1 else names[0]
    if isinstance(config, FinetuneConfig):
        del record["subset"]
    return record


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested options as `section.option`."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return found


def spec_name(spec: str) -> str:
    """A model spec without local folders: a path is reduced to its last part."""
    kind, separator, rest = spec.partition(":")
    if separator and kind in _PATH_KINDS:
        return f"{kind}:{_last(rest)}"
    if separator and kind in adapters.KINDS:
        name, at, file = rest.partition("@")
        return f"{kind}:{name}{at}{_last(file)}"
    return spec if separator or not _is_path(spec) else _last(spec)


def recipe(config: TaskConfig) -> str:
    """How the encoder was trained, in two sentences for a model card."""
    if isinstance(config, FinetuneConfig):
        return f"Fine-tuned with labels on {config.share:g} of each class's images."
    loss = config.loss  # type: ignore[attr-defined]
    weights = {name: getattr(loss, name) for name in ("invariance", "variance", "views")}
    if isinstance(config, DistillConfig):
        seen = ", which saw the student's crops" if config.teacher.view == "same" else ""
        how = f"Distilled from {' and '.join(map(spec_name, config.teacher.specs))}{seen},"
        weights |= {"teacher": loss.teacher, "regression": loss.regression, "similarity": loss.similarity}
        correlated = loss.views > 0 or loss.teacher > 0
    else:
        assert isinstance(config, PretrainConfig)
        how = "Trained without labels"
        weights |= {term.kind: term.weight for term in config.representations.terms}
        correlated = True
    terms = ", ".join(f"{name} (weight {weight:g})" for name, weight in weights.items() if weight)
    return f"{how} by MV-MR. Terms of its loss: {terms}; distance correlation: " + (
        f"{loss.estimator}." if correlated else "not used."
    )


def task(config: TaskConfig) -> Task:
    """The run's task, as in the catalog."""
    if isinstance(config, FinetuneConfig):
        return "semi-supervised"
    return "distillation" if isinstance(config, DistillConfig) else "pretraining"


def data_names(config: TaskConfig) -> tuple[str, ...]:
    """Names of the data: `data.name`, or the names of its folders and data sets without their splits."""
    if config.data.name:
        return (config.data.name,)
    return source_names(config.data.sources)


def source_names(sources: Sequence[str]) -> tuple[str, ...]:
    """Names of the folders and data sets without their paths and splits."""
    return tuple(dict.fromkeys(re.split("[/:#]", _without_folders(source))[0] for source in sources))


def note(config: TaskConfig) -> str:
    """The note of the model card."""
    published = f"The paper reports {config.run.published} for this recipe." if config.run.published else ""
    return " ".join(text for text in (config.run.note, published) if text)


def _without_folders(spec: str) -> str:
    """`NAME` for a folder or a parquet file, `NAME/train` for a split of it; a named data set as it is."""
    kind, separator, rest = spec.partition(":")
    if kind in NAMED:
        return spec
    if separator and kind == "parquet":
        path, mark, column = rest.partition("#")
        return f"{Path(path).stem}{mark}{column}"
    parts = Path(rest if separator and kind == "folder" else spec).resolve().parts
    return "/".join(parts[-2:] if parts[-1] in _SPLITS else parts[-1:])


def _last(path: str) -> str:
    return Path(path).name


def _is_path(spec: str) -> bool:
    """Whether a spec without a kind is a folder, rather than a name in the catalog."""
    return spec not in CATALOG
