"""Read an exported folder and check its schema and hashes."""

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
PARITY_REPORT_FILE = "export.json"
REFERENCE_FILE = "reference.safetensors"

HASHED = (MODEL_FILE, CONFIG_FILE, REFERENCE_FILE)
"""Files that have a hash in `export.json`."""

SCHEMA_VERSION = 1

_DIGEST_ADVICE = "The file was altered or truncated. Export or copy the folder again."


@dataclass(frozen=True)
class Exported:
    """An exported folder with a valid schema and valid hashes.

    Args:
        folder: Path of the folder.
        signature: Signature of its `model.onnx`.
        config: Contents of the checkpoint's `config.json`.
        sha256: Hashes of its files by name.
        passed: Whether the export met the limits of its parity report.
        parity_report: Contents of `export.json`.
    """

    folder: Path
    signature: Signature
    config: CheckpointConfig
    sha256: Mapping[str, str]
    passed: bool
    parity_report: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of `model.onnx`, which covers the weights and the preprocessing."""
        return self.sha256[MODEL_FILE]


def is_exported(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder is an exported folder, possibly damaged: it has an `export.json` and is not a checkpoint."""
    base = Path(folder)
    return os.path.exists(base / PARITY_REPORT_FILE) and not os.path.exists(base / GOLDEN_FILE)


def holds_export(folder: str | os.PathLike[str]) -> bool:
    """Whether the `export.json` of a folder was written by any release of mvmr-zoo."""
    try:
        values = read_json_object(Path(folder) / PARITY_REPORT_FILE)
    except (OSError, ValueError):
        return False
    return {"schema_version", "contract", "sha256"} <= values.keys()


def read_exported(folder: str | os.PathLike[str]) -> Exported:
    """Read an exported folder and check every field and hash.

    Raises:
        CheckpointError: A file is missing or altered, or a field is wrong. The message names it.
    """
    base = Path(folder)
    path = base / PARITY_REPORT_FILE
    try:
        values = read_json_object(path)
    except FileNotFoundError:
        raise CheckpointError(f"{base} is not an exported folder: it has no {PARITY_REPORT_FILE}.") from None
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}.") from None
    if values.get("schema_version") != SCHEMA_VERSION:
        raise CheckpointError(
            f"{path}: schema_version is {values.get('schema_version')!r}; this release reads {SCHEMA_VERSION}. "
            "Run `pip install -U mvmr-zoo` to read newer folders."
        )
    for name, kind in (("contract", dict), ("sha256", dict), ("passed", bool)):
        if not isinstance(values.get(name), kind):
            raise CheckpointError(f"{path}: {name} is {values.get(name)!r}; expected {kind.__name__}.")
    try:
        signature = Signature.from_dict(values["contract"])
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None
    sha256 = values["sha256"]
    if set(sha256) != set(HASHED):
        raise CheckpointError(f"{path}: sha256 lists {sorted(sha256)}; expected {sorted(HASHED)}.")
    for name in HASHED:
        check_digest(base / name, str(sha256[name]), said_by=f"{PARITY_REPORT_FILE} says", advice=_DIGEST_ADVICE)
    return Exported(base, signature, read_config(base / CONFIG_FILE), sha256, values["passed"], values)
