"""SHA-256 of files, and the check of a folder's files against the hashes in its `config.json`."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mvmr_zoo._io import open_regular
from mvmr_zoo.checkpoint.config import CheckpointConfig, read_config
from mvmr_zoo.checkpoint.files import HASHED, NEEDED, PROJECTOR_FILE
from mvmr_zoo.errors import CheckpointError

if TYPE_CHECKING:
    from mvmr_zoo.checkpoint.card import Output

_DIGEST_ADVICE = "The file was altered or truncated. Download or copy the folder again."


def file_digest(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file as 64 hexadecimal digits."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_digest(path: Path, expected: str, *, said_by: str, advice: str) -> None:
    """Raise CheckpointError if a file cannot be read or has another SHA-256.

    Args:
        path: File to check.
        expected: Expected SHA-256 as 64 hexadecimal digits.
        said_by: Source of the expected hash for the message, for example "config.json says".
        advice: Sentence that says what to do.
    """
    try:
        digest = file_digest(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}).") from None
    if digest != expected:
        raise CheckpointError(f"{path} has SHA-256 {digest[:12]}…, but {said_by} {expected[:12]}…. {advice}")


def read_hashes(path: Path) -> CheckpointConfig:
    """Read a `config.json` that must have the hash of every required file, and of no unknown file.

    Raises:
        CheckpointError: A field is wrong.
    """
    config = read_config(path)
    for required in (config.weights_file, *NEEDED):
        if required not in config.sha256:
            raise CheckpointError(f"{path}: sha256 lacks {required}.")
    for name, expected in config.sha256.items():
        if name not in HASHED:
            raise CheckpointError(f"{path}: sha256 lists {name!r}; expected only {', '.join(HASHED)}.")
        if not isinstance(expected, str):
            raise CheckpointError(f"{path}: sha256 of {name} is not text.")
    return config


def expected_hashes(folder: Path, config: CheckpointConfig) -> dict[str, str]:
    """The SHA-256 of each file that a folder must have, by name. The projector, for training only, may be absent."""
    return {
        name: sha256
        for name, sha256 in config.sha256.items()
        if name != PROJECTOR_FILE or (folder / PROJECTOR_FILE).exists()
    }


def check_hashes(folder: Path, config: CheckpointConfig) -> None:
    """Raise CheckpointError if a file of a folder is missing or has another SHA-256 than `config` says."""
    for name, expected in expected_hashes(folder, config).items():
        check_digest(folder / name, expected, said_by="config.json says", advice=_DIGEST_ADVICE)


def vectors_digest(weights: str, output: Output, dim: int, alignment: str) -> str:
    """SHA-256 of everything that determines the vectors of an output, except the preprocessing.

    For features this is the digest of the weights.

    Args:
        weights: SHA-256 of the weights.
        output: Name of the output.
        dim: Number of dimensions that are kept.
        alignment: SHA-256 of the alignment. Empty if the alignment is part of the weights.
    """
    if output == "features":
        return weights
    return hashlib.sha256(f"{weights} {alignment} {output} {dim}".encode()).hexdigest()
