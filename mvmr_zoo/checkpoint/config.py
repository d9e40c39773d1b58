"""`config.json` of a checkpoint folder: its facts, and how they are read back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from mvmr_zoo._io import read_json_object, write_whole
from mvmr_zoo.checkpoint.base import Base
from mvmr_zoo.checkpoint.card import OUTPUTS, Figure, Output, Task, output_dims
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
    """What `config.json` holds.

    Args:
        schema_version: of this layout.
        name: of the model.
        architecture: as `encoder.Encoder` takes it.
        embedding_dim: D.
        base: the weights that `delta.safetensors` is the difference from; None for a folder with `model.safetensors`.
        aligned_dim: length A of an aligned vector; 0 if there is no such output. The file stores it in `outputs`, with
            the length of each output. A folder without `outputs` has features only.
        default_output: the output that `load` gives by default.
        preprocess: how photos become arrays.
        license: of the weights, or `not stated`.
        source: who trained it, from what.
        task: how it was trained; empty where not known.
        data: it was trained on, as data sets are named here.
        note: its limits, as whoever made it says.
        training: the configuration of the run that made it, for people to read.
        metrics: measured figures by protocol.
        class_names: of the head's outputs, in their order; empty without a head.
        scores: how the head's logits become probabilities: `softmax` for one class an image, `sigmoid` for any number.
        sha256: of every file but README.md, 64 hexadecimal digits, by file name.
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
        """The name of the file with the weights, or with their difference from the base."""
        return WEIGHTS_FILE if self.base is None else DELTA_FILE

    @property
    def outputs(self) -> dict[Output, int]:
        """The length of each output."""
        return output_dims(self.embedding_dim, self.aligned_dim)


_OPTIONAL = frozenset(
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
    """Write `config.json`, whole or not at all."""
    try:
        values = asdict(config)
    except RecursionError:
        raise CheckpointError(f"{path}: training nests too deeply.") from None
    values["metrics"] = {
        name: {key: value for key, value in asdict(figure).items() if value not in (None, "")}
        for name, figure in config.metrics.items()
    }
    del values["aligned_dim"]
    if config.base is None:
        del values["base"]
    if config.outputs.keys() == {"features"}:
        del values["default_output"]  # so that releases without these fields can read the folder
    else:
        values["outputs"] = config.outputs
    write_whole(path, json.dumps(values, indent=2) + "\n")


def read_config(path: Path) -> CheckpointConfig:
    """The facts in a `config.json`, every field checked. Raises CheckpointError naming the field."""
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
            "`pip install -U mvmr-zoo` reads newer folders."
        )
    known = {f.name for f in fields(CheckpointConfig)} - {"aligned_dim"} | {"outputs"}
    if missing := sorted(known - _OPTIONAL - values.keys()):
        raise CheckpointError(f"{path}: lacks the field {missing[0]}.")
    if unknown := sorted(values.keys() - known):
        raise CheckpointError(f"{path}: has the unknown field {unknown[0]}.")
    _check_types(path, values)
    try:
        preprocess = Preprocess.from_dict(values["preprocess"])
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None
    read = {
        "preprocess": preprocess,
        "metrics": {name: _figure(path, name, value) for name, value in values.get("metrics", {}).items()},
        "class_names": tuple(values.get("class_names", ())),
        "data": tuple(values.get("data", ())),
        "aligned_dim": values.pop("outputs", {}).get("aligned", 0),
        "base": _base(path, values["base"]) if "base" in values else None,
    }
    return CheckpointConfig(**(values | read))


def _check_types(path: Path, values: Mapping[str, Any]) -> None:
    for name, kind in _TYPES.items():
        if name in values and not isinstance(values[name], kind):
            raise CheckpointError(f"{path}: {name} is {type(values[name]).__name__}, expected {kind.__name__}.")
    for name in ("class_names", "data"):
        if not all(isinstance(each, str) for each in values.get(name, [])):
            raise CheckpointError(f"{path}: {name} holds something else than text.")
    _check_outputs(path, values)
    for name, kinds in (("scores", get_args(Scores)), ("task", get_args(Task))):
        if name in values and values[name] not in kinds:
            raise CheckpointError(f"{path}: {name} is {values[name]!r}, expected one of {', '.join(kinds)}.")


def _check_outputs(path: Path, values: Mapping[str, Any]) -> None:
    dim = values["embedding_dim"]
    outputs = values.get("outputs", {"features": dim})
    if unknown := sorted(outputs.keys() - set(OUTPUTS)):
        raise CheckpointError(f"{path}: outputs names {unknown[0]!r}; expected only {', '.join(OUTPUTS)}.")
    if outputs.get("features") != dim:
        raise CheckpointError(
            f"{path}: outputs says features {outputs.get('features')!r}; expected {dim}, as embedding_dim says."
        )
    aligned = outputs.get("aligned", 1)
    if type(aligned) is not int or not 1 <= aligned <= dim:
        raise CheckpointError(f"{path}: outputs says aligned {aligned!r}; expected 1 to {dim}, as embedding_dim says.")
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
