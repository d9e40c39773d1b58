r"""Embeddings folders: the layout that clip-retrieval and autofaiss read.

FOLDER/
img_emb/img_emb_0.npy            `(n, D)`, float16
metadata/metadata_0.parquet      `image_path`, row i of one is row i of the other
manifest.json                    whose embeddings they are, and the SHA-256 of these files

A file name need not be text, `image_path` must: there bytes that are not UTF-8 are escaped as `\xNN`, and
`image_path_bytes`, null in all other rows, holds the name as it is.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo.atomic import write_whole, written_whole
from mvmr_zoo.checkpoint import file_digest
from mvmr_zoo.errors import DataError, one_line

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from numpy.typing import NDArray

SHARD_ROWS = 1_000_000
MANIFEST_FILE = "manifest.json"


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
        return rows_of(self.shards, wanted)


def rows_of(shards: Sequence[NDArray[np.floating[Any]]], wanted: NDArray[np.int64]) -> NDArray[np.float32]:
    """`(len(wanted), D)` float32: some rows of arrays that follow one another."""
    ends = np.cumsum([len(shard) for shard in shards])
    found = np.empty((len(wanted), shards[0].shape[1]), np.float32)
    homes = np.searchsorted(ends, wanted, side="right")
    for number in np.unique(homes).tolist():
        here = homes == number
        found[here] = shards[number][wanted[here] - (ends[number] - len(shards[number]))]
    return found


def read_embeddings(folder: str | os.PathLike[str]) -> EmbeddingsFolder:
    """The embeddings in a folder, every hash, row count and width checked.

    Raises:
        DataError: a file is missing, altered, or does not fit the others.
    """
    base = Path(folder)
    facts = read_facts(base)
    if facts is not None:
        _check_hashes(base)
    shards: list[NDArray[np.floating[Any]]] = []
    paths: list[str] = []
    for shard in open_shards(base, facts):
        shards.append(shard.vectors)
        paths += shard.image_paths()
    return EmbeddingsFolder(shards, paths, facts)


@dataclass(frozen=True)
class Shard:
    """Some rows of a folder.

    Args:
        vectors: `(n, D)`, memory-mapped.
        table: the file with their paths.
    """

    vectors: NDArray[np.floating[Any]]
    table: Path

    def image_paths(self) -> list[str]:
        """Of the images, in the order of the rows. Raises DataError."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with self.table.open("rb") as file, pq.ParquetFile(file) as table:
                return _read_paths(table)
        except (OSError, KeyError, pa.ArrowException) as error:
            raise DataError(f"{self.table} cannot be read: {one_line(error)}") from None


def open_shards(base: Path, facts: EmbeddingsFacts | None) -> Iterator[Shard]:
    """The shards of a folder in order, row counts and widths checked, hashes not.

    Raises:
        DataError: there is none, or a file is missing, damaged, or does not fit the others.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = sorted((base / "img_emb").glob("img_emb_*.npy"), key=_number)
    if not arrays:
        raise DataError(f"{base} is no embeddings folder: it has no img_emb/img_emb_0.npy.")
    width = facts.dim if facts else None
    for path in arrays:
        table = base / "metadata" / f"metadata_{_number(path)}.parquet"
        try:
            vectors = np.load(path, mmap_mode="r")
            with table.open("rb") as file:
                rows = pq.read_metadata(file).num_rows
        except (OSError, ValueError, EOFError, pa.ArrowException) as error:
            raise DataError(f"{path} or {table} cannot be read: {one_line(error)}") from None
        if vectors.ndim != 2 or len(vectors) != rows:
            raise DataError(f"{path} has the shape {vectors.shape}, but {table} has {rows} rows.")
        width = width or vectors.shape[1]
        if vectors.shape[1] != width:
            raise DataError(f"{path} has {vectors.shape[1]} columns; expected those of the other files.")
        yield Shard(vectors, table)


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
    if (base / MANIFEST_FILE).exists() or (base / "img_emb").exists():
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
            written += write_shard(base, len(counts), np.concatenate(vectors), paths)
            counts.append(len(paths))
            vectors, paths = [], []
    if paths or not counts:
        joined = np.concatenate(vectors) if vectors else np.empty((0, facts.dim), np.float16)
        written += write_shard(base, len(counts), joined, paths)
        counts.append(len(paths))
    write_manifest(base, facts, counts, written)


def write_manifest(base: Path, facts: EmbeddingsFacts, counts: list[int], written: Iterable[Path]) -> None:
    """What makes a folder whole: written when everything else is.

    Args:
        base: the folder.
        facts: whose embeddings they are.
        counts: rows of each shard.
        written: every file the reader is to find unaltered.
    """
    values = dataclasses.asdict(facts) | {
        "rows": counts,
        "sha256": {path.relative_to(base).as_posix(): file_digest(path) for path in written},
    }
    write_whole(base / MANIFEST_FILE, json.dumps(values, indent=2) + "\n")


def shard_files(base: Path, number: int) -> tuple[Path, Path]:
    """Where the vectors and the metadata of a shard stand."""
    return base / "img_emb" / f"img_emb_{number}.npy", base / "metadata" / f"metadata_{number}.parquet"


def write_shard(base: Path, number: int, vectors: NDArray[np.float16], paths: list[str]) -> tuple[Path, Path]:
    """Write the metadata, then the vectors, each file whole or not at all; returns both files.

    Args:
        base: the folder, `img_emb` and `metadata` in it.
        number: of the shard.
        vectors: `(n, D)` float16; n may be 0.
        paths: n, as `os.fsdecode` gives them.
    """
    import pyarrow as pa

    array, table = shard_files(base, number)
    write_table(table, pa.table(path_columns(paths)))
    with written_whole(array) as part, part.open("wb") as file:
        # not np.save: of a full disk it says only how much was not written
        np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": vectors.shape})
        file.write(np.ascontiguousarray(vectors, "<f2").reshape(-1).view(np.uint8).data)
    return array, table


def write_table(path: Path, table: pa.Table) -> None:
    """A Parquet file, whole or not at all."""
    import pyarrow.parquet as pq

    with written_whole(path) as part, part.open("wb") as file:  # Arrow opens no path that is not text
        pq.write_table(table, file)


def path_columns(paths: list[str]) -> dict[str, pa.Array]:
    """`image_path` and `image_path_bytes` of paths as `os.fsdecode` gives them."""
    import pyarrow as pa

    raw = [os.fsencode(path) for path in paths]
    text = [name.decode("utf-8", "backslashreplace") for name in raw]
    odd = [None if name == shown.encode() else name for name, shown in zip(raw, text, strict=True)]
    return {"image_path": pa.array(text, pa.string()), "image_path_bytes": pa.array(odd, pa.binary())}


def _read_paths(table: pq.ParquetFile) -> list[str]:
    names: list[str] = table.read(columns=["image_path"]).column("image_path").to_pylist()
    if "image_path_bytes" in table.schema_arrow.names:
        odd = table.read(columns=["image_path_bytes"]).column("image_path_bytes")
        for row, raw in enumerate(odd.to_pylist() if odd.null_count < len(odd) else []):
            if raw is not None:
                names[row] = os.fsdecode(raw)
    return names


def is_embeddings_folder(base: Path) -> bool:
    """Whether a folder is one, finished or not."""
    return os.path.isdir(base / "img_emb") and os.path.isdir(base / "metadata")


def read_counts(base: Path) -> list[int] | None:
    """Rows of each shard of a finished folder; None where there is no manifest. Raises DataError for a damaged one."""
    path = base / MANIFEST_FILE
    if not path.exists():
        return None
    try:
        return [int(rows) for rows in json.loads(path.read_text(encoding="utf-8"))["rows"]]
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path} is damaged.") from None


def read_facts(base: Path) -> EmbeddingsFacts | None:
    """Whose embeddings a folder holds; None where no manifest says so. Raises DataError for a damaged one."""
    path = base / MANIFEST_FILE
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return EmbeddingsFacts(**{field.name: values[field.name] for field in dataclasses.fields(EmbeddingsFacts)})
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path} is damaged.") from None


def _check_hashes(base: Path) -> None:
    path = base / MANIFEST_FILE
    try:
        hashes = dict(json.loads(path.read_text(encoding="utf-8"))["sha256"])
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path} is damaged.") from None
    for name, expected in hashes.items():
        if not (base / name).is_file() or file_digest(base / name) != expected:
            raise DataError(f"{base / name} is missing or was altered; its SHA-256 is not the manifest's.")


def _number(path: Path) -> int:
    """N of `img_emb_N.npy`."""
    tail = path.stem.rpartition("_")[2]
    return int(tail) if tail.isdigit() else 0
