"""`config.json` of a checkpoint folder: its facts, and how they are read back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from mvmr_zoo.errors import CheckpointError, ConfigError
from mvmr_zoo.preprocess import Preprocess

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """What `config.json` holds.

    Args:
        schema_version: of this layout.
        name: of the model.
        architecture: a name in `encoder.BACKBONES`.
        embedding_dim: D.
        preprocess: how photos become arrays.
        license: of the weights, or `not stated`.
        source: who trained it, from what.
        training: the run that made it, as its own configuration says.
        metrics: measured figures by protocol.
        class_names: of the head's outputs, in their order; empty without a head.
        sha256: of each other file, 64 hexadecimal digits, by file name.
    """

    schema_version: int
    name: str
    architecture: str
    embedding_dim: int
    preprocess: Preprocess
    license: str
    source: str
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    sha256: Mapping[str, str] = field(default_factory=dict)


def read_config(path: Path) -> CheckpointConfig:
    """The facts in a `config.json`, every field checked. Raises CheckpointError naming the field."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} is not a checkpoint folder: it has no {path.name}.") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON ({error}).") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {type(values).__name__}.")
    version = values.get("schema_version")
    if version != SCHEMA_VERSION:
        raise CheckpointError(
            f"{path}: schema_version is {version!r}; this release reads {SCHEMA_VERSION}. "
            "`pip install -U mvmr-zoo` reads newer folders."
        )
    known = {f.name for f in fields(CheckpointConfig)}
    required = known - {"training", "metrics", "class_names"}
    if missing := sorted(required - values.keys()):
        raise CheckpointError(f"{path}: lacks the field {missing[0]}.")
    if unknown := sorted(values.keys() - known):
        raise CheckpointError(f"{path}: has the unknown field {unknown[0]}.")
    _check_types(path, values)
    try:
        preprocess = Preprocess.from_dict(values["preprocess"])
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None
    names = tuple(values.get("class_names", ()))
    return CheckpointConfig(**(values | {"preprocess": preprocess, "class_names": names}))


def _check_types(path: Path, values: Mapping[str, Any]) -> None:
    expected: dict[str, type] = {
        "name": str,
        "architecture": str,
        "embedding_dim": int,
        "preprocess": dict,
        "license": str,
        "source": str,
        "training": dict,
        "metrics": dict,
        "class_names": list,
        "sha256": dict,
    }
    for name, kind in expected.items():
        if name in values and not isinstance(values[name], kind):
            raise CheckpointError(f"{path}: {name} is {type(values[name]).__name__}, expected {kind.__name__}.")
    if not all(isinstance(name, str) for name in values.get("class_names", [])):
        raise CheckpointError(f"{path}: class_names holds something else than text.")
