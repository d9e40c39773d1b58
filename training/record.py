"""The configuration as it is written down: in `last.ckpt`, in the checkpoint folder, on the model card."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mvmr_zoo import foreign
from mvmr_zoo.card import Task
from mvmr_zoo.catalog import CATALOG
from mvmr_zoo.datasets.arrays import NAMED
from training.config import DistillConfig, FinetuneConfig, PretrainConfig, TaskConfig

_OF_PATHS = ("local-dir", "onnx", "embeddings")
"""Kinds of model specs whose name is a path."""


def training_record(config: TaskConfig) -> dict[str, Any]:
    """The configuration as plain values, without folders of the machine that trained and what has its own field."""
    record: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    record["data"]["train"] = _without_folders(config.data.train)
    del record["data"]["root"], record["data"]["cache"]
    for name in ("output", "license", "note", "published"):
        del record["run"][name]
    if config.student.start_from is not None:
        record["student"]["start_from"] = spec_name(config.student.start_from)
    if isinstance(config, DistillConfig):
        record["teacher"]["spec"] = spec_name(config.teacher.spec)
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
    """A model spec without folders of this machine: of a path only the last part stays."""
    kind, separator, rest = spec.partition(":")
    if separator and kind in _OF_PATHS:
        return f"{kind}:{_last(rest)}"
    if separator and kind in foreign.KINDS:
        name, at, file = rest.partition("@")
        return f"{kind}:{name}{at}{_last(file)}"
    return spec if separator or not _is_path(spec) else _last(spec)


def recipe(config: TaskConfig) -> str:
    """What was done, in two sentences for a model card."""
    if isinstance(config, FinetuneConfig):
        return f"Fine-tuned with labels, on {config.share:g} of each class's images."
    loss = config.loss  # type: ignore[attr-defined]
    weights = {name: getattr(loss, name) for name in ("invariance", "variance", "views")}
    if isinstance(config, DistillConfig):
        how = f"Distilled from {spec_name(config.teacher.spec)}"
        weights |= {"teacher": loss.teacher, "regression": loss.regression}
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
    """How the run trains, as the catalogue says it."""
    if isinstance(config, FinetuneConfig):
        return "semi-supervised"
    return "distillation" if isinstance(config, DistillConfig) else "pretraining"


def data_name(config: TaskConfig) -> str:
    """The data set's name: `imagenette` of `.../imagenette/train`, `stl10` of `stl10:train+unlabeled`."""
    return re.split("[/:#]", _without_folders(config.data.train))[0]


def note(config: TaskConfig) -> str:
    """What a user of the model must know."""
    published = f"For this recipe its authors publish {config.run.published}." if config.run.published else ""
    return " ".join(text for text in (config.run.note, published) if text)


def _without_folders(spec: str) -> str:
    """`NAME/train` of a folder, `NAME` of a parquet file; a named data set as it is."""
    kind, separator, rest = spec.partition(":")
    if kind in NAMED:
        return spec
    if separator and kind == "parquet":
        path, mark, column = rest.partition("#")
        return f"{Path(path).stem}{mark}{column}"
    return "/".join(Path(rest if separator and kind == "folder" else spec).resolve().parts[-2:])


def _last(path: str) -> str:
    return Path(path).name


def _is_path(spec: str) -> bool:
    """Whether a spec without a kind is a folder, rather than a name of the catalogue."""
    return spec not in CATALOG
