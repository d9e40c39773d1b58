"""FAISS: import, files and GPU copies. FAISS is imported only here."""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mvmr_zoo._io import check_regular
from mvmr_zoo.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

TRAINING_ROWS_PER_CLUSTER = 64
"""Number of training vectors per cluster, if there are enough."""

_BUFFER_BYTES = 1 << 20


class WrittenIndex(NamedTuple):
    """Size in bytes and SHA-256 of an index file."""

    size: int
    sha256: str


def faiss_library() -> Any:
    """Import the faiss module. Raises MissingDependencyError if it is not installed."""
    try:
        import faiss
    except ImportError as error:
        raise MissingDependencyError("faiss", "runtime", "search for nearest neighbors") from error
    return faiss


def read_index(path: Path, *, mapped: bool = False) -> Any:
    """Read a FAISS index from a file.

    Args:
        path: Path of the file. It need not be valid text.
        mapped: Memory-map the clusters of an IVF index, so that a search reads only those it needs.

    Raises:
        OSError: The file cannot be opened.
        RuntimeError: The file is not a FAISS index, or is damaged.
    """
    faiss = faiss_library()
    name = os.fspath(check_regular(path))
    if mapped and name.isprintable():
        index = faiss.read_index(name, faiss.IO_FLAG_MMAP)
        # starting its 32 threads takes longer than most searches
        faiss.downcast_InvertedLists(index.invlists).prefetch_nthread = 0
        return index
    with path.open("rb") as file:
        return faiss.read_index(faiss.PyCallbackIOReader(file.read, _BUFFER_BYTES))


def write_index(index: Any, path: Path) -> None:
    """Write a FAISS index to a file. Raises OSError, for example if the disk is full."""
    with path.open("wb") as file:
        _write(index, file.write)


def write_hashed_index(index: Any, path: Path) -> WrittenIndex:
    """`write_index`, with the hash of the bytes, so that the file need not be read again."""
    digest = hashlib.sha256()
    with path.open("wb") as file:

        def write(data: bytes) -> int:
            digest.update(data)
            return file.write(data)

        _write(index, write)
        return WrittenIndex(file.tell(), digest.hexdigest())


def _write(index: Any, write: Callable[[bytes], int]) -> None:
    faiss = faiss_library()
    faiss.write_index(index, faiss.PyCallbackIOWriter(write, _BUFFER_BYTES))


def stored_ids(index: Any) -> NDArray[np.int64]:
    """Ids `(N,)` of the vectors in an `IDMap2` or IVF index, in any order."""
    faiss = faiss_library()
    if not isinstance(index, faiss.IndexIVF):
        return np.asarray(faiss.vector_to_array(index.id_map), np.int64)
    parts = [np.empty(0, np.int64)]
    for number in range(index.nlist):
        with_ids, size = index.invlists.get_ids(number), index.invlists.list_size(number)
        if size:
            parts.append(faiss.rev_swig_ptr(with_ids, size).copy())
        index.invlists.release_ids(number, with_ids)
    return np.concatenate(parts)


def clusters_for(rows: int) -> int:
    """Number of clusters of an IVF index: the power of two nearest to twice the square root of the number of rows."""
    return int(2 ** round(math.log2(2 * math.sqrt(rows))))


def train(index: Any, vectors: NDArray[np.float32]) -> None:
    """Train the cluster centers of an IVF index on vectors `(N, D)`, on a GPU if FAISS has one."""
    faiss = faiss_library()
    if has_gpu():
        index.clustering_index = on_gpu(faiss.IndexFlatIP(index.d))
    index.train(vectors)


def has_gpu() -> bool:
    """Whether FAISS can use a GPU."""
    faiss = faiss_library()
    return hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0


def on_gpu(index: Any) -> Any:
    """Copy a FAISS index to the first GPU. The original index remains unchanged.

    Raises:
        ConfigError: FAISS has no GPU.
    """
    faiss = faiss_library()
    if not has_gpu():
        raise ConfigError(
            "This build of FAISS does not support GPUs, or no GPU was found. "
            "Install `mvmr-zoo[gpu]` in a new environment, or omit --device cuda."
        )
    return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
