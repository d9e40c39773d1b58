"""Writing embeddings folders. Every file is written atomically, the manifest last."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo._io import write_whole, written_whole
from mvmr_zoo.checkpoint import file_digest
from mvmr_zoo.embed.folder.layout import MANIFEST_FILE, EmbeddingsFacts, shard_files
from mvmr_zoo.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

SHARD_ROWS = 1_000_000


def write_embeddings(
    folder: str | os.PathLike[str],
    batches: Iterable[tuple[NDArray[np.float32], list[str]]],
    facts: EmbeddingsFacts,
    *,
    shard_rows: int = SHARD_ROWS,
) -> None:
    """Write vectors and the paths of their images, batch by batch, then the manifest.

    Args:
        folder: Must not hold embeddings yet.
        batches: `(n, D)` vectors with n paths each.
        facts: The encoder.
        shard_rows: Approximate number of rows per file.

    Raises:
        DataError: The folder already holds embeddings.
    """
    base = Path(folder)
    if (base / MANIFEST_FILE).exists() or (base / "img_emb").exists():
        raise DataError(f"{base} already contains embeddings. Use another folder, or delete this one.")
    (base / "img_emb").mkdir(parents=True)
    (base / "metadata").mkdir()
    written: list[Path] = []
    counts: list[int] = []
    vectors: list[NDArray[np.float16]] = []
    paths: list[str] = []
    for batch_vectors, names in batches:
        vectors.append(batch_vectors.astype(np.float16))
        paths += names
        if len(paths) >= shard_rows:
            written += write_shard(base, str(len(counts)), np.concatenate(vectors), paths)
            counts.append(len(paths))
            vectors, paths = [], []
    if paths or not counts:
        joined = np.concatenate(vectors) if vectors else np.empty((0, facts.dim), np.float16)
        written += write_shard(base, str(len(counts)), joined, paths)
        counts.append(len(paths))
    write_manifest(base, facts, counts, written)


def write_manifest(base: Path, facts: EmbeddingsFacts, counts: list[int], written: Iterable[Path]) -> None:
    """Write the manifest, which marks a folder as complete.

    Args:
        base: The folder.
        facts: The encoder.
        counts: Number of rows of each shard.
        written: Files whose SHA-256 the manifest records.
    """
    values = dataclasses.asdict(facts) | {
        "rows": counts,
        "sha256": {path.relative_to(base).as_posix(): file_digest(path) for path in written},
    }
    write_whole(base / MANIFEST_FILE, json.dumps(values, indent=2) + "\n")


def write_shard(base: Path, name: str, vectors: NDArray[np.float16], paths: list[str]) -> tuple[Path, Path]:
    """Write the metadata, then the vectors, each file atomically. Returns both paths.

    Args:
        base: The folder, with `img_emb` and `metadata`.
        name: Number of the shard, as in its file names.
        vectors: `(n, D)` float16; n may be 0.
        paths: N paths, decoded with `os.fsdecode`.
    """
    import pyarrow as pa

    array, table = shard_files(base, name)
    write_table(table, pa.table(path_columns(paths)))
    with written_whole(array) as part, part.open("wb") as file:
        # np.save reports a full disk only as a number of unwritten items
        np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": vectors.shape})
        file.write(np.ascontiguousarray(vectors, "<f2").reshape(-1).view(np.uint8).data)
    return array, table


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file atomically."""
    import pyarrow.parquet as pq

    with written_whole(path) as part, part.open("wb") as file:  # Arrow cannot open a path that is not UTF-8
        pq.write_table(table, file)


def path_columns(paths: list[str]) -> dict[str, pa.Array]:
    """Columns `image_path` and `image_path_bytes` for paths decoded with `os.fsdecode`."""
    import pyarrow as pa

    raw = [os.fsencode(path) for path in paths]
    text = [name.decode("utf-8", "backslashreplace") for name in raw]
    odd = [None if name == shown.encode() else name for name, shown in zip(raw, text, strict=True)]
    return {"image_path": pa.array(text, pa.string()), "image_path_bytes": pa.array(odd, pa.binary())}
