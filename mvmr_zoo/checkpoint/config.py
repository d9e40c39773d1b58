"""Read and write the `config.json` of a checkpoint folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from mvmr_zoo._io import read_json_object, write_whole
from mvmr_zoo.checkpoint.base_weights import Base
from mvmr_zoo.checkpoint.card import OUTPUTS, Figure, Output, Task, current_name, output_dims
from mvmr_zoo.checkpoint.files import DELTA_FILE, WEIGHTS_FILE
from mvmr_zoo.errors import CheckpointError, ConfigError
from mvmr_zoo.images import Preprocess

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA_VERSION = 1

Scores = Literal["softmax", "sigmoid"]


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """The contents of `config.json`.

    Args:
        schema_version: Version of the layout of the file.
        name: Name of the model.
        architecture: Architecture name of `Encoder`.
        embedding_dim: Length D of a feature vector.
        base: Base weights of `delta.safetensors`. None for a folder with `model.safetensors`.
        aligned_dim: Length A of an aligned vector. 0 if there is no output `aligned`. The file stores it in `outputs`,
            which has the length of each output. A folder without `outputs` has only features.
        default_output: Output that `load` uses by default.
        preprocess: Preprocessing of photos.
        license: License of the weights, or `not stated`.
        source: Description of the training: who trained the model, and from which weights.
        task: Type of training. Empty if it is not known.
        data: Names of the data sets that the model was trained on.
        note: Limitations of the model, as its author states them.
        training: Configuration of the training run, for people to read.
        metrics: Measured figures by protocol.
        class_names: Class names of the outputs of the head, in order. Empty if there is no head.
        scores: Function from logits of the head to probabilities: `softmax` for one class per image, `sigmoid` for any
            number of classes.
        sha256: SHA-256 of every file except README.md, as 64 hexadecimal digits, by file name.
    """

    schema_version: int
    name: str
    architecture: str
    embedding_dim: int
    preprocess: Preprocess
    license: str
    source: str
    task: Task = ""
    data: tuple[str, ...] = ()
    note: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Figure] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    scores: Scores = "softmax"
    sha256: Mapping[str, str] = field(default_factory=dict)
    base: Base | None = None
    aligned_dim: int = 0
    default_output: Output = "features"

    @property
    def weights_file(self) -> str:
        """Name of the file with the weights, or with their difference from the base."""
        return WEIGHTS_FILE if self.base is None else DELTA_FILE

    @property
    def outputs(self) -> dict[Output, int]:
        """The length of each output."""
        return output_dims(self.embedding_dim, self.aligned_dim)


_OPTIONAL_FIELDS = frozenset(
    {"task", "data", "note", "training", "metrics", "class_names", "scores", "outputs", "default_output", "base"}
)

_TYPES: dict[str, type] = {
    "name": str,
    "architecture": str,
    "embedding_dim": int,
    "preprocess": dict,
    "license": str,
    "source": str,
    "task": str,
    "data": list,
    "note": str,
    "training": dict,
    "metrics": dict,
    "class_names": list,
    "scores": str,
    "sha256": dict,
    "outputs": dict,
    "default_output": str,
    "base": dict,
}


def write_config(path: Path, config: CheckpointConfig) -> None:
    """Write `config.json` atomically. Raises CheckpointError if `training` is nested too deeply."""
    try:
        values = asdict(config)
    except RecursionError:
        raise CheckpointError(f"{path}: training is nested too deeply.") from None
    values["metrics"] = {
        name: {key: value for key, value in asdict(figure).items() if value not in (None, "")}
        for name, figure in config.metrics.items()
    }
    del values["aligned_dim"]
    if config.base is None:
        del values["base"]
    if config.outputs.keys() == {"features"}:
        del values["default_output"]  # so that older releases, which do not have these fields, can read the folder
    else:
        values["outputs"] = config.outputs
    write_whole(path, json.dumps(values, indent=2) + "\n")


def read_config(path: Path) -> CheckpointConfig:
    """Read a `config.json` and check every field. Raises CheckpointError with the name of the wrong field."""
    try:
        values = read_json_object(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} is not a checkpoint folder: it has no {path.name}.") from None
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}.") from None
    version = values.get("schema_version")
    if version != SCHEMA_VERSION:
        raise CheckpointError(
            f"{path}: schema_version is {version!r}; this release reads {SCHEMA_VERSION}. "
            "Run `pip install -U mvmr-zoo` to read newer folders."
        )
    known = {each.name for each in fields(CheckpointConfig)} - {"aligned_dim"} | {"outputs"}
    if missing := sorted(known - _OPTIONAL_FIELDS - values.keys()):
        raise CheckpointError(f"{path}: the field {missing[0]} is missing.")
    if unknown := sorted(values.keys() - known):
        raise CheckpointError(f"{path}: the field {unknown[0]} is unknown.")
    _check_types(path, values)
    try:
        preprocess = Preprocess.from_dict(values["preprocess"])
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None
    parsed = {
        "preprocess": preprocess,
        "metrics": {current_name(name): _figure(path, name, each) for name, each in values.get("metrics", {}).items()},
        "class_names": tuple(values.get("class_names", ())),
        "data": tuple(values.get("data", ())),
        "aligned_dim": values.pop("outputs", {}).get("aligned", 0),
        "base": _base(path, values["base"]) if "base" in values else None,
    }
    return CheckpointConfig(**(values | parsed))


def _check_types(path: Path, values: Mapping[str, Any]) -> None:
    for name, kind in _TYPES.items():
        if name in values and not isinstance(values[name], kind):
            raise CheckpointError(f"{path}: {name} is {type(values[name]).__name__}; expected {kind.__name__}.")
    for name in ("class_names", "data"):
        if not all(isinstance(each, str) for each in values.get(name, [])):
            raise CheckpointError(f"{path}: {name} has a value that is not text.")
    _check_outputs(path, values)
    for name, kinds in (("scores", get_args(Scores)), ("task", get_args(Task))):
        if name in values and values[name] not in kinds:
            expected = ", ".join(kind for kind in kinds if kind)
            raise CheckpointError(f"{path}: {name} is {values[name]!r}; expected one of {expected}.")


def _check_outputs(path: Path, values: Mapping[str, Any]) -> None:
    dim = values["embedding_dim"]
    outputs = values.get("outputs", {"features": dim})
    if unknown := sorted(outputs.keys() - set(OUTPUTS)):
        raise CheckpointError(f"{path}: outputs lists {unknown[0]!r}; expected only {', '.join(OUTPUTS)}.")
    if outputs.get("features") != dim:
        raise CheckpointError(
            f"{path}: outputs.features is {outputs.get('features')!r}; expected {dim}, which is embedding_dim."
        )
    aligned = outputs.get("aligned", 1)
    if type(aligned) is not int or not 1 <= aligned <= dim:
        raise CheckpointError(f"{path}: outputs.aligned is {aligned!r}; expected 1 to {dim}, which is embedding_dim.")
    if values.get("default_output", "features") not in outputs:
        raise CheckpointError(
            f"{path}: default_output is {values['default_output']!r}; expected one of outputs: {', '.join(outputs)}."
        )


def _base(path: Path, values: Mapping[str, Any]) -> Base:
    try:
        return Base.from_json(values)
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None


def _figure(path: Path, name: str, values: Any) -> Figure:
    try:
        return Figure.from_json(values)
    except ConfigError as error:
        raise CheckpointError(f"{path}: metrics: {name}: {error}") from None
