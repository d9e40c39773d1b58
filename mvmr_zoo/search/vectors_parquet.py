"""Vectors and their photos as one Parquet file, for vector databases to load.

A row a photo: `id`, `image_path`, `image_path_bytes`, `vector`; of a library also `taken`, `width`, `height`, `size`.
The key-value metadata of the file say whose vectors they are: those of `EmbeddingsFacts`, and the metric.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo._io import written_whole
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

ROWS_A_GROUP = 16_384
"""Rows held at once: 32 MB with 512 features; of a library a quarter of it, what the store reads at once."""

METRIC = "cosine"

Progress = Callable[[int, int], None]
"""Called with rows written and rows to write."""


def write_library_parquet(
    file: str | os.PathLike[str], library: PhotoLibrary, *, progress: Progress = lambda done, total: None
) -> int:
    """Write the photos of a library that are not missing, by id; returns how many.

    Args:
        file: to write, whole or not at all.
        library: to read; nothing in it changes.
        progress: told how far it is.

    Raises:
        ConfigError: the file's name does not end in `.parquet`.
        LibraryError: the library is empty.
        LibraryDamagedError: the library holds a vector of the wrong length.
    """
    import pyarrow as pa

    target = _checked_name(file)
    with Store(library.folder) as store:
        ids = store.ids("1", ())
        if not len(ids):
            raise LibraryError(
                f"The library {library.folder} holds no photo. `mvmr-zoo index add PHOTO-FOLDER` fills it."
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
    """Write the rows of an embeddings folder, their numbers from 0 as ids; returns how many.

    Args:
        file: to write, whole or not at all; not inside the folder.
        folder: that `mvmr-zoo embed` finished.
        progress: told how far it is.

    Raises:
        ConfigError: the file's name does not end in `.parquet`, or it lies inside the folder.
        DataError: the folder is no embeddings folder, unfinished, empty, or lacks files.
    """
    target, base = _checked_name(file), Path(folder)
    if base.resolve() in target.resolve().parents:
        raise ConfigError(f"{target} lies inside {base}, whose files it could overwrite. Give another name.")
    facts = read_facts(base)
    shards = list(open_shards(base, facts))
    if facts is None:
        raise DataError(
            f"{base} has no manifest.json: it is not finished, or another program made it. "
            "`mvmr-zoo embed` finishes what it began, and makes one that says whose vectors it holds."
        )
    if (counts := [len(shard.vectors) for shard in shards]) != read_counts(base):
        raise DataError(f"{base} has shards of {counts} rows; expected those of its manifest: files are missing.")
    if not sum(counts):
        raise DataError(f"{base} holds no vector: none of its images could be embedded.")
    return _write(target, facts, {}, _folder_groups(shards), sum(counts), progress)


def _checked_name(file: str | os.PathLike[str]) -> Path:
    path = Path(file)
    if path.suffix.lower() != ".parquet":
        raise ConfigError(f"{path} does not end in .parquet; end the name in .parquet.")
    return path


def _folder_groups(shards: list[Shard]) -> Iterator[pa.Table]:
    """All rows, numbered from 0; the paths of one shard are held at once."""
    before = 0
    for shard in shards:
        paths = shard.image_paths()
        for first in range(0, len(paths), ROWS_A_GROUP):
            vectors = shard.vectors[first : first + ROWS_A_GROUP].astype(np.float32)
            numbers = np.arange(before + first, before + first + len(vectors))
            yield _table(numbers, paths[first : first + ROWS_A_GROUP], vectors)
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
    """The photos with some ids; those that another command forgot in the meantime are left out."""
    for part in vector_parts(store):
        photos = store.by_id(part.ids[np.isin(part.ids, ids)].tolist())
        if not photos:
            continue
        rows = list(photos.values())
        columns = {
            "taken": [row.taken for row in rows],
            "width": [row.width for row in rows],
            "height": [row.height for row in rows],
            "size": [row.stamp.size for row in rows],
        }
        vectors = np.stack([row.vector for row in rows]).astype(np.float32)
        yield _table(np.fromiter(photos, np.int64), [os.fsdecode(row.path) for row in rows], vectors, columns)


def _table(
    ids: NDArray[np.int64], paths: list[str], vectors: NDArray[np.float32], more: dict[str, Any] | None = None
) -> pa.Table:
    """One row group.

    Args:
        ids: `(N,)`.
        paths: N, as `os.fsdecode` gives them.
        vectors: `(N, D)` of any length.
        more: further columns.
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
    """The file, a row group at a time; returns how many rows were written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "id": pa.int64(),
        "image_path": pa.string(),
        "image_path_bytes": pa.binary(),
        "vector": pa.list_(pa.float32(), facts.dim),
    }
    told = {
        "model": facts.model,
        "weights_digest": facts.weights_digest,
        "preprocess_digest": facts.preprocess_digest,
        "dim": str(facts.dim),
        "output": facts.output,
        "metric": METRIC,
    }
    schema = pa.schema(columns | more, metadata=told)
    rows = 0
    with written_whole(file) as part, part.open("wb") as opened:  # Arrow opens no path that is not text
        # values hardly ever repeat: a dictionary of them would only take room
        with pq.ParquetWriter(opened, schema, use_dictionary=False) as writer:
            for group in groups:
                writer.write_table(group.cast(schema))
                rows += len(group)
                progress(rows, total)
    return rows
