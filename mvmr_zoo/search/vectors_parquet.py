"""Exports vectors and photo paths to a Parquet file, for import into vector databases.

Each row is a photo with the columns `id`, `image_path`, `image_path_bytes` and `vector`. Exports of a library also have
`taken`, `width`, `height` and `size`. The key-value metadata of the file contain the `EmbeddingsFacts` and the metric.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo._io import Progress, written_whole
from mvmr_zoo.embed.folder import EmbeddingsFacts, Shard, open_shards, path_columns, read_counts, read_facts
from mvmr_zoo.errors import ConfigError, DataError, LibraryError, printable
from mvmr_zoo.inference import unit
from mvmr_zoo.search.compatibility import bound_output
from mvmr_zoo.search.index import vector_parts
from mvmr_zoo.search.store import Store

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from mvmr_zoo.search.photo_library import PhotoLibrary

ROWS_PER_GROUP = 16_384
"""Rows per row group of an embeddings folder, 32 MB with 512 features. Exports of a library use the smaller parts in
which the database is read."""

METRIC = "cosine"


def write_library_parquet(
    file: str | os.PathLike[str], library: PhotoLibrary, *, progress: Progress = lambda done, total: None
) -> int:
    """Write the photos of a library to a Parquet file, sorted by id. Missing photos are excluded.

    Args:
        file: Output file. It is written atomically.
        library: Library to export. It is not changed.
        progress: Receives the number of written rows and the total.

    Returns:
        Number of rows.

    Raises:
        ConfigError: The file name does not end in `.parquet`.
        LibraryError: The library is empty.
        LibraryDamagedError: A vector in the library has the wrong length.
    """
    import pyarrow as pa

    target = _checked_name(file)
    with Store(library.folder) as store:
        ids = store.ids("1", ())
        if not len(ids):
            raise LibraryError(
                f"The library {library.folder} contains no photos. Run `mvmr-zoo index add PHOTO-FOLDER` to add some."
            )
        facts = _library_facts(store)
        columns = {"taken": pa.string(), "width": pa.int32(), "height": pa.int32(), "size": pa.int64()}
        return _write(target, facts, columns, _library_groups(store, ids), len(ids), progress)


def write_folder_parquet(
    file: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    progress: Progress = lambda done, total: None,
) -> int:
    """Write the rows of an embeddings folder to a Parquet file. The ids are the row ids, from 0.

    Args:
        file: Output file outside the folder. It is written atomically.
        folder: Embeddings folder that `mvmr-zoo embed` has finished.
        progress: Receives the number of written rows and the total.

    Returns:
        Number of rows.

    Raises:
        ConfigError: The file name does not end in `.parquet`, or the file is inside the folder.
        DataError: The folder is not an embeddings folder, or it is unfinished, empty or incomplete.
    """
    target, base = _checked_name(file), Path(folder)
    if base.resolve() in target.resolve().parents:
        raise ConfigError(
            f"{target} is inside {base} and could overwrite its files. Choose a place outside the folder."
        )
    facts = read_facts(base)
    shards = list(open_shards(base, facts))
    if facts is None:
        raise DataError(
            f"{base} has no manifest.json. It is not finished, or it was created by another program. "
            "Run `mvmr-zoo embed` again to finish it, or to create an embeddings folder."
        )
    if (counts := [len(shard.vectors) for shard in shards]) != read_counts(base):
        raise DataError(f"{base} has shards with {counts} rows; expected {read_counts(base)}. Some files are missing.")
    if not sum(counts):
        raise DataError(f"{base} contains no vectors, because none of its images could be embedded.")
    return _write(target, facts, {}, _folder_groups(shards), sum(counts), progress)


def _checked_name(file: str | os.PathLike[str]) -> Path:
    path = Path(file)
    if path.suffix.lower() != ".parquet":
        raise ConfigError(f"{path} does not end in .parquet. Use a name that ends in .parquet.")
    return path


def _folder_groups(shards: list[Shard]) -> Iterator[pa.Table]:
    """Yield row groups with all rows, numbered from 0. Only the paths of one shard are in memory."""
    before = 0
    for shard in shards:
        paths = shard.image_paths()
        for first in range(0, len(paths), ROWS_PER_GROUP):
            vectors = shard.vectors[first : first + ROWS_PER_GROUP].astype(np.float32)
            ids = np.arange(before + first, before + first + len(vectors))
            yield _table(ids, paths[first : first + ROWS_PER_GROUP], vectors)
        before += len(paths)


def _library_facts(store: Store) -> EmbeddingsFacts:
    return EmbeddingsFacts(
        model=printable(store.fact("model") or ""),
        weights_digest=store.fact("weights") or "",
        preprocess_digest=store.fact("preprocess") or "",
        dim=store.dim,
        normalized=True,
        output=bound_output(store),
    )


def _library_groups(store: Store, ids: NDArray[np.int64]) -> Iterator[pa.Table]:
    """Yield row groups with the photos of the given ids. Photos removed by another process are ignored."""
    for part in vector_parts(store):
        photos = store.by_id(part.ids[np.isin(part.ids, ids)].tolist())
        if not photos:
            continue
        rows = list(photos.values())
        columns = {
            "taken": [row.taken_at for row in rows],
            "width": [row.width for row in rows],
            "height": [row.height for row in rows],
            "size": [row.stamp.size for row in rows],
        }
        vectors = np.stack([row.vector for row in rows]).astype(np.float32)
        yield _table(np.fromiter(photos, np.int64), [os.fsdecode(row.path) for row in rows], vectors, columns)


def _table(
    ids: NDArray[np.int64], paths: list[str], vectors: NDArray[np.float32], more: dict[str, Any] | None = None
) -> pa.Table:
    """Create one row group.

    Args:
        ids: Ids `(N,)`.
        paths: N paths, decoded with `os.fsdecode`.
        vectors: Vectors `(N, D)` of any norm. They are normalized.
        more: Further columns.
    """
    import pyarrow as pa

    flat = pa.array(unit(vectors).reshape(-1))
    vector = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    return pa.table({"id": pa.array(ids), **path_columns(paths), "vector": vector, **(more or {})})


def _write(
    file: Path,
    facts: EmbeddingsFacts,
    more: dict[str, pa.DataType],
    groups: Iterable[pa.Table],
    total: int,
    progress: Progress,
) -> int:
    """Write the file, one row group at a time. Returns the number of rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "id": pa.int64(),
        "image_path": pa.string(),
        "image_path_bytes": pa.binary(),
        "vector": pa.list_(pa.float32(), facts.dim),
    }
    metadata = {
        "model": facts.model,
        "weights_digest": facts.weights_digest,
        "preprocess_digest": facts.preprocess_digest,
        "dim": str(facts.dim),
        "output": facts.output,
        "metric": METRIC,
    }
    schema = pa.schema(columns | more, metadata=metadata)
    rows = 0
    with written_whole(file) as part, part.open("wb") as opened:  # Arrow cannot open paths that are not UTF-8
        # values hardly ever repeat, so a dictionary would only make the file larger
        with pq.ParquetWriter(opened, schema, use_dictionary=False) as writer:
            for group in groups:
                writer.write_table(group.cast(schema))
                rows += len(group)
                progress(rows, total)
    return rows
