"""`gather_parquet`: convert Parquet parts to an embeddings folder, sorted by path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo._io import replace_folder, scratch_folder
from mvmr_zoo.embed.failures import failures_file, write_failures
from mvmr_zoo.embed.filesystem import Place, explained, open_place
from mvmr_zoo.embed.folder import shard_files, shard_name, write_manifest, write_shard
from mvmr_zoo.embed.local_engine import SHARD_ROWS, BulkReport
from mvmr_zoo.embed.parquet_parts import PARTS_FOLDER, PartsManifest, read_parts
from mvmr_zoo.embed.plan import FOLDERS
from mvmr_zoo.errors import ConfigError, DataError
from mvmr_zoo.inference import Failure

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_BATCH_ROWS = 8192


@dataclass(frozen=True)
class _Sorted:
    """Sorted order of the inputs.

    Args:
        paths: Path of every input, sorted as bytes.
        place_of: `(N,)`, the index in `paths` of every row of the parts, part after part.
    """

    paths: list[bytes]
    place_of: NDArray[np.int64]


def gather_parquet(
    parts: str | os.PathLike[str], folder: str | os.PathLike[str], *, shard_rows: int = SHARD_ROWS
) -> BulkReport:
    """Write the same embeddings folder as the local engine for the same photos, except for `plan.json`.

    Holds all paths and the vectors of one shard in memory. A temporary file beside `folder` holds all vectors, at two
    bytes per feature. The folder appears only when it is complete.

    Args:
        parts: Output of `mvmr-zoo embed --engine ray`: a folder, or a URI that pyarrow or fsspec understands.
        folder: New or empty.
        shard_rows: Inputs per shard, at least 1.

    Raises:
        ConfigError: `shard_rows` is below 1.
        DataError: The parts are incomplete, or `folder` is not empty.
    """
    if shard_rows < 1:
        raise ConfigError(f"shard_rows is {shard_rows}; expected at least 1.")
    place, base = open_place(os.fspath(parts)), Path(folder)
    manifest = read_parts(place)
    if base.exists() and not (base.is_dir() and not any(base.iterdir())):
        raise DataError(f"{base} already exists. Use a new --output.")
    order = _sort(place, manifest)
    with scratch_folder(base.parent) as scratch:
        shape = (len(order.paths), manifest.facts.dim)
        vectors = np.lib.format.open_memmap(scratch / "vectors.npy", "w+", np.dtype(np.float16), shape)
        failures = _scatter(place, manifest, order, vectors)
        work = scratch / "embeddings"
        for folder_name in FOLDERS:
            (work / folder_name).mkdir(parents=True)
        files: list[Path] = []
        counts: list[int] = []
        for number, first in enumerate(range(0, len(order.paths), shard_rows)):
            inputs = range(first, min(first + shard_rows, len(order.paths)))
            good = [row for row in inputs if row not in failures]
            name = shard_name(number, -(-len(order.paths) // shard_rows))
            write_failures(work, name, [failures[row] for row in inputs if row in failures])
            write_shard(work, name, vectors[good], [os.fsdecode(order.paths[row]) for row in good])
            files += [*shard_files(work, name), failures_file(work, name)]
            counts.append(len(good))
        write_manifest(work, manifest.facts, counts, files)
        replace_folder(work, base)
    return BulkReport(
        images=manifest.images, embedded=sum(counts), shards=len(counts), made=len(counts), reasons=manifest.reasons
    )


def _sort(place: Place, manifest: PartsManifest) -> _Sorted:
    paths: list[bytes] = []
    for batch in _batches(place, manifest, ["image_path", "image_path_bytes"]):
        texts, odd = (batch.column(name).to_pylist() for name in ("image_path", "image_path_bytes"))
        paths += [text.encode() if raw is None else raw for text, raw in zip(texts, odd, strict=True)]
    if len(paths) != manifest.images:
        raise DataError(
            f"{place.name} contains {len(paths)} rows, but its manifest says {manifest.images}. "
            "Run `mvmr-zoo embed` again."
        )
    order = np.array(sorted(range(len(paths)), key=paths.__getitem__), np.int64)
    place_of = np.empty_like(order)
    place_of[order] = np.arange(len(order))
    return _Sorted([paths[row] for row in order], place_of)


def _scatter(place: Place, manifest: PartsManifest, order: _Sorted, vectors: NDArray[np.float16]) -> dict[int, Failure]:
    """Write every vector to the position of its path in `order`. Returns the failures by position."""
    failures: dict[int, Failure] = {}
    first = 0
    for batch in _batches(place, manifest, ["vector", "stage", "reason"]):
        rows = order.place_of[first : first + len(batch)]
        first += len(batch)
        column = batch.column("vector")
        good = column.is_valid().to_numpy(zero_copy_only=False)
        flat = column.drop_null().flatten().to_numpy()
        if len(flat) != good.sum() * vectors.shape[1]:
            raise DataError(
                f"{place.name} contains a vector whose length is not {vectors.shape[1]}, the length in the manifest. "
                "Run `mvmr-zoo embed` again."
            )
        vectors[rows[good]] = flat.reshape(-1, vectors.shape[1])
        stages, reasons = batch.column("stage").to_pylist(), batch.column("reason").to_pylist()
        for row in np.flatnonzero(~good):
            at = int(rows[row])
            failures[at] = Failure(at, os.fsdecode(order.paths[at]), stages[row], reasons[row])
    return failures


def _batches(place: Place, manifest: PartsManifest, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Some columns of all parts, in order of the part names."""
    import pyarrow.parquet as pq

    with explained(place.name):
        for name in sorted(manifest.rows):
            path = place.below(f"{PARTS_FOLDER}/{name}")
            with place.open_file(path) as file, pq.ParquetFile(file) as table:
                for batch in table.iter_batches(_BATCH_ROWS, columns=columns):
                    yield batch.select(columns)
