"""Reading embeddings folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo._io import check_regular, open_regular
from mvmr_zoo.embed.folder.layout import EmbeddingsFacts, check_files, read_facts
from mvmr_zoo.errors import DataError, one_line

if TYPE_CHECKING:
    import pyarrow.parquet as pq
    from numpy.typing import NDArray


@dataclass(frozen=True)
class EmbeddingsFolder:
    """A checked embeddings folder.

    Args:
        shards: `(n, D)` arrays, memory-mapped.
        image_paths: One per row, over all shards.
        facts: None if there is no manifest, as in folders of other programs.
    """

    shards: list[NDArray[np.floating[Any]]]
    image_paths: list[str]
    facts: EmbeddingsFacts | None

    def rows(self, wanted: NDArray[np.int64]) -> NDArray[np.float32]:
        """`(len(wanted), D)` float32."""
        return rows_of(self.shards, wanted)


def read_embeddings(folder: str | os.PathLike[str]) -> EmbeddingsFolder:
    """Read a folder. Checks every hash, row count and width.

    Raises:
        DataError: A file is missing, altered, or inconsistent with the others.
    """
    base = Path(folder)
    facts = read_facts(base)
    if facts is not None:
        check_files(base)
    shards: list[NDArray[np.floating[Any]]] = []
    paths: list[str] = []
    for shard in open_shards(base, facts):
        shards.append(shard.vectors)
        paths += shard.image_paths()
    return EmbeddingsFolder(shards, paths, facts)


@dataclass(frozen=True)
class Shard:
    """One shard of a folder.

    Args:
        vectors: `(n, D)`, memory-mapped.
        array: File of the vectors.
        table: File of the image paths.
    """

    vectors: NDArray[np.floating[Any]]
    array: Path
    table: Path

    def image_paths(self) -> list[str]:
        """Paths of the images, in the order of the rows. Raises DataError."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with open_regular(self.table) as file, pq.ParquetFile(file) as table:
                return _read_paths(table)
        except (OSError, KeyError, pa.ArrowException) as error:
            raise DataError(f"{self.table} cannot be read: {one_line(error)}") from None


def open_shards(base: Path, facts: EmbeddingsFacts | None) -> Iterator[Shard]:
    """The shards of a folder in order. Checks row counts and widths, but not hashes.

    Raises:
        DataError: There is no shard, or a file is missing, damaged, or inconsistent with the others.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = sorted((base / "img_emb").glob("img_emb_*.npy"), key=_number)
    if not arrays:
        raise DataError(f"{base} is not an embeddings folder. It has no img_emb/img_emb_0.npy.")
    width = facts.dim if facts else None
    for path in arrays:
        table = base / "metadata" / f"metadata_{path.stem.rpartition('_')[2]}.parquet"
        if not table.exists():  # other programs may pad the two names differently
            table = table.with_name(f"metadata_{_number(path)}.parquet")
        try:
            vectors = np.load(check_regular(path), mmap_mode="r")
            with open_regular(table) as file:
                rows = pq.read_metadata(file).num_rows
        except (OSError, ValueError, EOFError, pa.ArrowException) as error:
            raise DataError(f"{path} or {table} cannot be read: {one_line(error)}") from None
        if vectors.ndim != 2 or len(vectors) != rows:
            raise DataError(f"{path} has shape {vectors.shape}, but {table} has {rows} rows.")
        width = width or vectors.shape[1]
        if vectors.shape[1] != width:
            raise DataError(
                f"{path} has {vectors.shape[1]} columns; expected {width}, as in the other files or the manifest."
            )
        yield Shard(vectors, path, table)


def rows_of(shards: Sequence[NDArray[np.floating[Any]]], wanted: NDArray[np.int64]) -> NDArray[np.float32]:
    """`(len(wanted), D)` float32: rows of concatenated arrays, by index."""
    ends = np.cumsum([len(shard) for shard in shards])
    rows = np.empty((len(wanted), shards[0].shape[1]), np.float32)
    shard_numbers = np.searchsorted(ends, wanted, side="right")
    for number in np.unique(shard_numbers).tolist():
        in_shard = shard_numbers == number
        rows[in_shard] = shards[number][wanted[in_shard] - (ends[number] - len(shards[number]))]
    return rows


def _read_paths(table: pq.ParquetFile) -> list[str]:
    names: list[str] = table.read(columns=["image_path"]).column("image_path").to_pylist()
    if "image_path_bytes" in table.schema_arrow.names:
        odd = table.read(columns=["image_path_bytes"]).column("image_path_bytes")
        for row, raw in enumerate(odd.to_pylist() if odd.null_count < len(odd) else []):
            if raw is not None:
                names[row] = os.fsdecode(raw)
    return names


def _number(path: Path) -> int:
    """N of `img_emb_N.npy`."""
    tail = path.stem.rpartition("_")[2]
    return int(tail) if tail.isdigit() else 0
