"""Embeddings folders: the layout that clip-retrieval and autofaiss read.

FOLDER/
img_emb/img_emb_0.npy            `(n, D)`, float16
metadata/metadata_0.parquet      `image_path`, row i of one is row i of the other
manifest.json                    whose embeddings they are, and the SHA-256 of every other file
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo.atomic import write_whole
from mvmr_zoo.checkpoint import file_digest
from mvmr_zoo.errors import DataError, one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARD_ROWS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class EmbeddingsFacts:
    """Whose embeddings a folder holds.

    Args:
        model: spec of the encoder.
        weights_digest: SHA-256 of its weights.
        preprocess_digest: of its preprocessing.
        dim: D.
        normalized: whether rows have unit length.
    """

    model: str
    weights_digest: str
    preprocess_digest: str
    dim: int
    normalized: bool


@dataclass(frozen=True)
class EmbeddingsFolder:
    """A folder whose files were found right.

    Args:
        shards: `(n, D)` arrays, memory-mapped.
        image_paths: one a row, over all shards.
        facts: None where the folder was made by another program, without a manifest.
    """

    shards: list[NDArray[np.floating[Any]]]
    image_paths: list[str]
    facts: EmbeddingsFacts | None

    def rows(self, wanted: NDArray[np.int64]) -> NDArray[np.float32]:
        """`(len(wanted), D)` float32."""
        ends = np.cumsum([len(shard) for shard in self.shards])
        found = np.empty((len(wanted), self.shards[0].shape[1]), np.float32)
        for number, shard in enumerate(self.shards):
            first = int(ends[number]) - len(shard)
            here = (wanted >= first) & (wanted < ends[number])
            found[here] = shard[wanted[here] - first]
        return found


def read_embeddings(folder: str | os.PathLike[str]) -> EmbeddingsFolder:
    """The embeddings in a folder, every hash, row count and width checked.

    Raises:
        DataError: a file is missing, altered, or does not fit the others.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    base = Path(folder)
    arrays = sorted((base / "img_emb").glob("img_emb_*.npy"), key=_number)
    if not arrays:
        raise DataError(f"{base} is no embeddings folder: it has no img_emb/img_emb_0.npy.")
    facts = _read_manifest(base)
    shards: list[NDArray[np.floating[Any]]] = []
    paths: list[str] = []
    for path in arrays:
        table = base / "metadata" / f"metadata_{_number(path)}.parquet"
        try:
            shard = np.load(path, mmap_mode="r")
            names = pq.read_table(table, columns=["image_path"]).column("image_path").to_pylist()
        except (OSError, ValueError, EOFError, KeyError, pa.ArrowException) as error:
            raise DataError(f"{path} or {table} cannot be read: {one_line(error)}") from None
        if shard.ndim != 2 or len(shard) != len(names):
            raise DataError(f"{path} has the shape {shard.shape}, but {table} has {len(names)} rows.")
        if shard.shape[1] != (facts.dim if facts else shards[0].shape[1] if shards else shard.shape[1]):
            raise DataError(f"{path} has {shard.shape[1]} columns; expected those of the other files.")
        shards.append(shard)
        paths += names
    return EmbeddingsFolder(shards, paths, facts)


def write_embeddings(
    folder: str | os.PathLike[str],
    batches: Iterable[tuple[NDArray[np.float32], list[str]]],
    facts: EmbeddingsFacts,
    *,
    shard_rows: int = SHARD_ROWS,
) -> None:
    """Write vectors and the paths of their images, batch by batch; the manifest comes last.

    Args:
        folder: where to; must not hold embeddings yet.
        batches: `(n, D)` vectors with n paths each.
        facts: whose they are.
        shard_rows: rows a file, about.

    Raises:
        DataError: embeddings stand there already.
    """
    base = Path(folder)
    if (base / "manifest.json").exists() or (base / "img_emb").exists():
        raise DataError(f"{base} holds embeddings already. Give another folder, or delete it.")
    (base / "img_emb").mkdir(parents=True)
    (base / "metadata").mkdir()
    written: list[Path] = []
    counts: list[int] = []
    vectors: list[NDArray[np.float16]] = []
    paths: list[str] = []
    for found, names in batches:
        vectors.append(found.astype(np.float16))
        paths += names
        if len(paths) >= shard_rows:
            written += _write_shard(base, len(counts), np.concatenate(vectors), paths)
            counts.append(len(paths))
            vectors, paths = [], []
    if paths or not counts:
        joined = np.concatenate(vectors) if vectors else np.empty((0, facts.dim), np.float16)
        written += _write_shard(base, len(counts), joined, paths)
        counts.append(len(paths))
    values = dataclasses.asdict(facts) | {
        "rows": counts,
        "sha256": {path.relative_to(base).as_posix(): file_digest(path) for path in written},
    }
    write_whole(base / "manifest.json", json.dumps(values, indent=2) + "\n")


def _write_shard(base: Path, number: int, vectors: NDArray[np.float16], paths: list[str]) -> list[Path]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    array, table = base / "img_emb" / f"img_emb_{number}.npy", base / "metadata" / f"metadata_{number}.parquet"
    np.save(array, vectors)
    pq.write_table(pa.table({"image_path": pa.array(paths, pa.string())}), table)
    return [array, table]


def _read_manifest(base: Path) -> EmbeddingsFacts | None:
    path = base / "manifest.json"
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        facts = EmbeddingsFacts(**{field.name: values[field.name] for field in dataclasses.fields(EmbeddingsFacts)})
        hashes = dict(values["sha256"])
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path} is damaged.") from None
    for name, expected in hashes.items():
        if not (base / name).is_file() or file_digest(base / name) != expected:
            raise DataError(f"{base / name} is missing or was altered; its SHA-256 is not the manifest's.")
    return facts


def _number(path: Path) -> int:
    """N of `img_emb_N.npy`."""
    tail = path.stem.rpartition("_")[2]
    return int(tail) if tail.isdigit() else 0
