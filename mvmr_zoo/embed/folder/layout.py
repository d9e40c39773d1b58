"""The encoder of an embeddings folder, and the names of its files."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mvmr_zoo._io import read_json_object
from mvmr_zoo.checkpoint import OUTPUTS, Output, asked_dim, file_digest
from mvmr_zoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class EmbeddingsFacts:
    """The encoder that made the embeddings of a folder.

    Args:
        model: Spec of the encoder.
        weights_digest: `Model.vectors_digest`; for features this is the SHA-256 of the weights.
        preprocess_digest: Digest of its preprocessing.
        dim: D.
        normalized: Whether rows have unit length.
        output: Output of the encoder in the rows.
    """

    model: str
    weights_digest: str
    preprocess_digest: str
    dim: int
    normalized: bool
    output: Output = "features"

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read the facts from the fields of a manifest. Raises KeyError or ValueError if they are missing or wrong."""
        output = values.get("output", "features")  # older manifests have features only
        if output not in OUTPUTS:
            raise ValueError(f"output is {output!r}")
        names = [field.name for field in dataclasses.fields(cls) if field.name != "output"]
        return cls(**{name: values[name] for name in names}, output=output)

    @property
    def asked_dim(self) -> int | None:
        """The argument `dim` of `load` that gives these vectors."""
        return asked_dim(self.output, self.dim)


def is_embeddings_folder(base: Path) -> bool:
    """Whether a folder is an embeddings folder, finished or not."""
    return os.path.isdir(base / "img_emb") and os.path.isdir(base / "metadata")


def shard_name(number: int, shards: int) -> str:
    """Number of a shard in its file names, zero-padded because other programs sort names as text."""
    return f"{number:0{len(str(max(shards - 1, 0)))}}"


def shard_files(base: Path, name: str) -> tuple[Path, Path]:
    """Paths of the vectors and the metadata of a shard."""
    return base / "img_emb" / f"img_emb_{name}.npy", base / "metadata" / f"metadata_{name}.parquet"


def read_facts(base: Path) -> EmbeddingsFacts | None:
    """The encoder of a folder; None if there is no manifest. Raises DataError if it is damaged."""
    path = base / MANIFEST_FILE
    if not path.exists():
        return None
    try:
        return EmbeddingsFacts.from_json(read_json_object(path))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{path} is damaged.") from None


def read_counts(base: Path) -> list[int] | None:
    """Rows of each shard of a finished folder; None if there is no manifest. Raises DataError if it is damaged."""
    path = base / MANIFEST_FILE
    if not path.exists():
        return None
    try:
        return [int(rows) for rows in read_json_object(path)["rows"]]
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path} is damaged.") from None


def check_file(base: Path, name: str) -> None:
    """Raise DataError if the SHA-256 of one file, named relative to the folder, differs from the manifest."""
    _check(base, name, _hashes(base).get(name))


def check_files(base: Path) -> None:
    """Raise DataError if the SHA-256 of any file differs from the manifest."""
    for name, expected in _hashes(base).items():
        _check(base, name, expected)


def _check(base: Path, name: str, expected: str | None) -> None:
    if not (base / name).is_file() or file_digest(base / name) != expected:
        raise DataError(f"{base / name} is missing or was altered; its SHA-256 does not match the manifest.")


def _hashes(base: Path) -> dict[str, str]:
    path = base / MANIFEST_FILE
    try:
        return dict(read_json_object(path)["sha256"])
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path} is damaged.") from None
