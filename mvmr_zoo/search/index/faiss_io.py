"""FAISS, imported in this one place."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRAINING_ROWS_PER_CLUSTER = 64
"""Vectors to find a list's center with, where there are so many."""

_BUFFER_BYTES = 1 << 20


def faiss_library() -> Any:
    """The faiss module. Raises MissingDependencyError where it is not installed."""
    try:
        import faiss
    except ImportError as error:
        raise MissingDependencyError("faiss", "runtime", "search nearest neighbors") from error
    return faiss


def read_index(path: Path, *, mapped: bool = False) -> Any:
    """The FAISS index in a file.

    Args:
        path: of the file; its name need not be text.
        mapped: leave the lists of an inverted file on the disk, and read those that a search looks into.

    Raises:
        OSError: the file cannot be opened.
        RuntimeError: it holds no index, or a damaged one.
    """
    faiss = faiss_library()
    name = os.fspath(path)
    if mapped and name.isprintable():
        index = faiss.read_index(name, faiss.IO_FLAG_MMAP)
        # to start its 32 threads takes longer than most searches
        faiss.downcast_InvertedLists(index.invlists).prefetch_nthread = 0
        return index
    with path.open("rb") as file:
        return faiss.read_index(faiss.PyCallbackIOReader(file.read, _BUFFER_BYTES))


def write_index(index: Any, path: Path) -> None:
    """Write a FAISS index to a file. Raises OSError, as of a full disk."""
    faiss = faiss_library()
    with path.open("wb") as file:
        faiss.write_index(index, faiss.PyCallbackIOWriter(file.write, _BUFFER_BYTES))


def stored_ids(index: Any) -> NDArray[np.int64]:
    """`(N,)` ids of the vectors in an `IDMap2` index or an inverted file, in no order."""
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


def lists_for(rows: int) -> int:
    """How many lists an inverted file of so many vectors has: the power of two nearest to twice their root."""
    return int(2 ** round(math.log2(2 * math.sqrt(rows))))


def train(index: Any, vectors: NDArray[np.float32]) -> None:
    """Find the centers of an inverted file among `(N, D)` vectors; on a GPU where this faiss has one."""
    faiss = faiss_library()
    if has_gpu():
        index.clustering_index = on_gpu(faiss.IndexFlatIP(index.d))
    index.train(vectors)


def has_gpu() -> bool:
    """Whether this faiss can use a GPU."""
    faiss = faiss_library()
    return hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0


def on_gpu(index: Any) -> Any:
    """A copy of a FAISS index on the first GPU; the index itself stays as it is, and is what gets written.

    Raises:
        ConfigError: this faiss has no GPU to use.
    """
    faiss = faiss_library()
    if not has_gpu():
        raise ConfigError(
            "The index cannot be on a GPU: this faiss has none to use. "
            "Install `mvmr-zoo[gpu]` in an environment of its own, or leave out --device cuda."
        )
    return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
