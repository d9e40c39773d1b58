"""Search the vectors of a photo library: the FAISS file, and newer photos by exact comparison.

Ids are never reused and vectors never change. Therefore the FAISS file remains valid when photos are added or removed.
Newer vectors are read from the database, and the caller drops hits that are no longer in the database.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mvmr_zoo.errors import LibraryDamagedError
from mvmr_zoo.search.index.faiss_io import faiss_library, on_gpu, read_index
from mvmr_zoo.search.index.manifest import Manifest, read_manifest
from mvmr_zoo.search.score_calibration import random_pair_quantiles, score_percentile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mvmr_zoo.search.store import Store

_MOST_ON_GPU = 2048  # largest number of neighbors that FAISS returns on a GPU


class Neighbors(NamedTuple):
    """The nearest vectors of a query, best first: cosine similarities `(K,)` and photo ids `(K,)`."""

    scores: NDArray[np.float32]
    ids: NDArray[np.int64]


class VectorIndex:
    """A searchable index of the vectors in a database.

    Args:
        base: FAISS index. None if there is no index file, and all vectors are read from the database.
        manifest: Manifest of the FAISS index.
        dim: Length of a vector D.
        gpu: Use a copy of the FAISS index on a GPU for searches without a filter. FAISS does not support filters there.
    """

    def __init__(self, base: Any, manifest: Manifest | None, dim: int, *, gpu: bool = False) -> None:
        self._base = base
        self._on_gpu = on_gpu(base) if gpu and base is not None else None
        self.manifest = manifest
        self._seen = manifest.last_id if manifest else 0
        self._ids = np.empty(0, np.int64)
        self._vectors = np.empty((0, dim), np.float32)
        self._background = manifest.background if manifest else None

    def catch_up(self, store: Store) -> None:
        """Read the vectors of photos that were added since."""
        parts = list(vector_parts(store, after=self._seen))
        if parts:
            self._ids = np.concatenate([self._ids, *(part.ids for part in parts)])
            self._vectors = np.concatenate([self._vectors, *(part.vectors for part in parts)])
            self._seen = int(self._ids[-1])

    @property
    def rows(self) -> int:
        """Number of vectors. Some may belong to deleted photos."""
        return len(self._ids) + (self.manifest.rows if self.manifest else 0)

    @property
    def has_percentiles(self) -> bool:
        """Whether the library has enough photos for percentiles."""
        return self.percentile(0) is not None

    def percentile(self, score: float) -> float | None:
        """Percentage of random pairs of photos that are less similar. None for a library with few photos."""
        if self._background is None:
            self._background = random_pair_quantiles(self._vectors)
        return score_percentile(self._background, score)

    def search(self, query: NDArray[np.float32], k: int, *, among: NDArray[np.int64] | None = None) -> Neighbors:
        """Search for the `k` nearest vectors. There are fewer hits if there are fewer vectors.

        Args:
            query: `(D,)` unit vector.
            k: Number of hits.
            among: Ids to search. None searches all.
        """
        found = [self._search_later(query, among)]
        if self.manifest is not None and self.manifest.rows:
            found.append(self._search_base(query, k, among))
        scores, ids = (np.concatenate(parts) for parts in zip(*found, strict=True))
        best = np.argsort(-scores, kind="stable")[:k]
        return Neighbors(np.minimum(scores[best], np.float32(1)), ids[best])

    def _search_later(self, query: NDArray[np.float32], among: NDArray[np.int64] | None) -> Neighbors:
        allowed = slice(None) if among is None else np.isin(self._ids, among)
        return Neighbors(self._vectors[allowed] @ query, self._ids[allowed])

    def _search_base(self, query: NDArray[np.float32], k: int, among: NDArray[np.int64] | None) -> Neighbors:
        assert self.manifest is not None
        faiss, tuning = faiss_library(), self.manifest.tuning
        options = {}
        if among is not None:
            allowed = np.zeros(self.manifest.last_id + 1, bool)
            allowed[among[among <= self.manifest.last_id]] = True
            k = min(k, int(allowed.sum()))
            options["sel"] = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        k = min(k, self.manifest.rows)
        if k == 0:
            return Neighbors(np.empty(0, np.float32), np.empty(0, np.int64))
        if tuning is None:
            params = faiss.SearchParameters(**options) if options else None
            return self._ask(query, k, params)
        # with a filter that selects few photos, all clusters are searched
        nprobe = tuning.nprobe if among is None else tuning.lists
        found = self._ask(query, k, faiss.SearchParametersIVF(nprobe=nprobe, **options))
        if len(found.ids) < k and nprobe < tuning.lists:
            found = self._ask(query, k, faiss.SearchParametersIVF(nprobe=tuning.lists))
        return found

    def _ask(self, query: NDArray[np.float32], k: int, params: Any) -> Neighbors:
        filtered = params is not None and params.sel is not None
        base = self._base if self._on_gpu is None or filtered or k > _MOST_ON_GPU else self._on_gpu
        scores, ids = base.search(np.ascontiguousarray(query[None], np.float32), k, params=params)
        return Neighbors(scores[0][ids[0] >= 0], ids[0][ids[0] >= 0])


class VectorPart(NamedTuple):
    """Ids `(N,)` and vectors `(N, D)` float16 of photos."""

    ids: NDArray[np.int64]
    vectors: NDArray[np.float16]


def vector_parts(store: Store, after: int = 0) -> Iterator[VectorPart]:
    """Yield the vectors of all photos with ids above `after`, in order of ids.

    Raises:
        LibraryDamagedError: A vector has the wrong length.
    """
    for ids, blobs in store.vectors(after):
        yield VectorPart(ids, as_matrix(store, blobs))


def as_matrix(store: Store, blobs: list[bytes]) -> NDArray[np.float16]:
    """Vectors `(N, D)` from their bytes. Raises LibraryDamagedError if one has the wrong length."""
    dim = store.dim
    if any(len(blob) != 2 * dim for blob in blobs):
        raise LibraryDamagedError(
            f"{store.path} contains a vector whose length is not {dim}. "
            "Run `mvmr-zoo index doctor --repair`. Your photos are not changed."
        )
    return np.frombuffer(b"".join(blobs), np.float16).reshape(len(blobs), dim)


def open_index(folder: Path, store: Store, *, gpu: bool = False) -> VectorIndex:
    """Open the index of a library for searching. Nothing is changed.

    Args:
        folder: Library folder.
        store: Database of the library.
        gpu: Search on a GPU.

    Raises:
        ConfigError: `gpu` is set, and FAISS has no GPU.
        LibraryDamagedError: The vectors of the database and of the index differ in length.
    """
    manifest = read_manifest(store)
    if manifest is not None and manifest.dim != store.dim:
        raise LibraryDamagedError(
            f"{store.path} has vectors of length {store.dim}, but the index has length {manifest.dim}. "
            "Run `mvmr-zoo index doctor --repair`."
        )
    base = None if manifest is None else read_base(folder, manifest)
    if base is None and read_manifest(store) != manifest:  # another process has just rebuilt it
        return open_index(folder, store, gpu=gpu)
    index = VectorIndex(base, None if base is None else manifest, store.dim, gpu=gpu)
    index.catch_up(store)
    return index


def read_base(folder: Path, manifest: Manifest, *, to_change: bool = False) -> Any:
    """Read the FAISS index. Returns None if the file does not match the manifest.

    Args:
        folder: Library folder.
        manifest: Manifest of the file.
        to_change: Read the whole file into memory. Otherwise the clusters of an IVF index are memory-mapped.
    """
    if not has_base(folder, manifest):
        return None
    try:
        index = read_index(folder / manifest.file, mapped=manifest.kind == "ivf" and not to_change)
    except (OSError, RuntimeError):
        return None
    return index if (index.ntotal, index.d) == (manifest.rows, manifest.dim) else None


def has_base(folder: Path, manifest: Manifest | None) -> bool:
    """Whether the file of the manifest exists with the right size."""
    if manifest is None:
        return False
    try:
        return os.stat(folder / manifest.file).st_size == manifest.size
    except OSError:
        return False
