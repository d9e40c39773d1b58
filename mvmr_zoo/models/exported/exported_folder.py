"""An exported folder, its schema and hashes checked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvmr_zoo._io import read_json_object
from mvmr_zoo.checkpoint import CONFIG_FILE, GOLDEN_FILE, CheckpointConfig, check_digest, read_config
from mvmr_zoo.errors import CheckpointError, ConfigError
from mvmr_zoo.models.exported.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Mapping

MODEL_FILE = "model.onnx"
CERTIFICATE_FILE = "export.json"
REFERENCE_FILE = "reference.safetensors"

HASHED = (MODEL_FILE, CONFIG_FILE, REFERENCE_FILE)
"""Every file that `export.json` holds a hash of."""

SCHEMA_VERSION = 1

_AGAIN = "The file was altered or cut short; export or copy the folder again."


@dataclass(frozen=True)
class Exported:
    """A folder whose schema and hashes were found right.

    Args:
        folder: where it lies.
        contract: what its `model.onnx` reads and answers.
        config: of the checkpoint it was made from.
        sha256: of its files, by name.
        passed: whether it kept the limits of its certificate.
        certificate: all of `export.json`.
    """

    folder: Path
    contract: Signature
    config: CheckpointConfig
    sha256: Mapping[str, str]
    passed: bool
    certificate: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of `model.onnx`, weights and preprocessing included."""
        return self.sha256[MODEL_FILE]


def is_exported(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder looks like an exported one, perhaps a damaged one: it has an `export.json`, and no weights."""
    base = Path(folder)
    return os.path.exists(base / CERTIFICATE_FILE) and not os.path.exists(base / GOLDEN_FILE)


def holds_export(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder's `export.json` is one of ours, of any release."""
    try:
        values = read_json_object(Path(folder) / CERTIFICATE_FILE)
    except (OSError, ValueError):
        return False
    return {"schema_version", "contract", "sha256"} <= values.keys()


def read_exported(folder: str | os.PathLike[str]) -> Exported:
    """The exported folder at a path.

    Raises:
        CheckpointError: a file is missing or altered, or a field is wrong; names it.
    """
    base = Path(folder)
    path = base / CERTIFICATE_FILE
    try:
        values = read_json_object(path)
    except FileNotFoundError:
        raise CheckpointError(f"{base} is not an exported folder: it has no {CERTIFICATE_FILE}.") from None
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}.") from None
    if values.get("schema_version") != SCHEMA_VERSION:
        raise CheckpointError(
            f"{path}: schema_version is {values.get('schema_version')!r}; this release reads {SCHEMA_VERSION}. "
            "`pip install -U mvmr-zoo` reads newer folders."
        )
    for name, kind in (("contract", dict), ("sha256", dict), ("passed", bool)):
        if not isinstance(values.get(name), kind):
            raise CheckpointError(f"{path}: {name} is {values.get(name)!r}, expected {kind.__name__}.")
    try:
        contract = Signature.from_dict(values["contract"])
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None
    sha256 = values["sha256"]
    if set(sha256) != set(HASHED):
        raise CheckpointError(f"{path}: sha256 names {sorted(sha256)}; expected {sorted(HASHED)}.")
    for name in HASHED:
        check_digest(base / name, str(sha256[name]), said_by=f"{CERTIFICATE_FILE} says", advice=_AGAIN)
    return Exported(base, contract, read_config(base / CONFIG_FILE), sha256, values["passed"], values)
