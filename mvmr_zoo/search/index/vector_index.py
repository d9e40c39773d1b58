"""Nearest vectors: the FAISS file, which holds most photos, and those that came later, compared one by one.

A photo's id is never given twice and its vector never changes. So the file stays right while photos come and go: later
ones are read from the store, and hits that the store does not know any more are left out by who asks.
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

_MOST_ON_GPU = 2048  # neighbors that faiss finds at once there


class Neighbors(NamedTuple):
    """Nearest vectors of a query, best first: cosine similarities and photo ids, both `(K,)`."""

    scores: NDArray[np.float32]
    ids: NDArray[np.int64]


class VectorIndex:
    """The vectors of a store's photos, ready to be searched.

    Args:
        base: the FAISS index that the manifest describes; None where there is none, and all come from the store.
        manifest: of the base.
        dim: D.
        gpu: search a copy of the base on a GPU where all photos may answer; faiss has no filters there.
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
        """Take in the photos that came since."""
        parts = list(vector_parts(store, after=self._seen))
        if parts:
            self._ids = np.concatenate([self._ids, *(part.ids for part in parts)])
            self._vectors = np.concatenate([self._vectors, *(part.vectors for part in parts)])
            self._seen = int(self._ids[-1])

    @property
    def rows(self) -> int:
        """How many vectors there are; some may be of photos that are gone."""
        return len(self._ids) + (self.manifest.rows if self.manifest else 0)

    @property
    def has_percentiles(self) -> bool:
        """Whether there are enough photos for percentiles."""
        return self.percentile(0) is not None

    def percentile(self, score: float) -> float | None:
        """How many of a hundred random pairs of the library's photos are less similar; None where few are there."""
        if self._background is None:
            self._background = random_pair_quantiles(self._vectors)
        return score_percentile(self._background, score)

    def search(self, query: NDArray[np.float32], k: int, *, among: NDArray[np.int64] | None = None) -> Neighbors:
        """The `k` nearest, fewer where there are fewer.

        Args:
            query: `(D,)` unit vector.
            k: how many.
            among: ids that may answer; None is all.
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
        # few may answer to a filter: then all lists are searched
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
    """Some photos' ids `(N,)` and vectors `(N, D)` float16."""

    ids: NDArray[np.int64]
    vectors: NDArray[np.float16]


def vector_parts(store: Store, after: int = 0) -> Iterator[VectorPart]:
    """The vectors of all photos with ids above one, in order.

    Raises:
        LibraryDamagedError: a vector has the wrong length.
    """
    for ids, blobs in store.vectors(after):
        yield VectorPart(ids, as_matrix(store, blobs))


def as_matrix(store: Store, blobs: list[bytes]) -> NDArray[np.float16]:
    """`(N, D)` of the bytes of vectors. Raises LibraryDamagedError where one has the wrong length."""
    dim = store.dim
    if any(len(blob) != 2 * dim for blob in blobs):
        raise LibraryDamagedError(
            f"{store.path} holds a vector that is not {dim} long. "
            "`mvmr-zoo index doctor --repair` puts it right; your photos are not touched."
        )
    return np.frombuffer(b"".join(blobs), np.float16).reshape(len(blobs), dim)


def open_index(folder: Path, store: Store, *, gpu: bool = False) -> VectorIndex:
    """The vectors of the store as it is now; changes nothing.

    Args:
        folder: of the library.
        store: its database.
        gpu: search on a GPU.

    Raises:
        ConfigError: `gpu`, and faiss has none.
        LibraryDamagedError: the database has another length of vectors than the index.
    """
    manifest = read_manifest(store)
    if manifest is not None and manifest.dim != store.dim:
        raise LibraryDamagedError(
            f"{store.path} says that its vectors are {store.dim} long, its index {manifest.dim}. "
            "`mvmr-zoo index doctor --repair` puts it right."
        )
    base = None if manifest is None else read_base(folder, manifest)
    if base is None and read_manifest(store) != manifest:  # made again just now
        return open_index(folder, store, gpu=gpu)
    index = VectorIndex(base, None if base is None else manifest, store.dim, gpu=gpu)
    index.catch_up(store)
    return index


def read_base(folder: Path, manifest: Manifest, *, to_change: bool = False) -> Any:
    """The FAISS index, or None where the file is not what the manifest says.

    Args:
        folder: of the library.
        manifest: of the file.
        to_change: read all of it; else the lists of an inverted file stay on the disk until they are searched.
    """
    if not has_base(folder, manifest):
        return None
    try:
        index = read_index(folder / manifest.file, mapped=manifest.kind == "ivf" and not to_change)
    except (OSError, RuntimeError):
        return None
    return index if (index.ntotal, index.d) == (manifest.rows, manifest.dim) else None


def has_base(folder: Path, manifest: Manifest | None) -> bool:
    """Whether the file that the manifest names is there, and as long as it should be."""
    if manifest is None:
        return False
    try:
        return os.stat(folder / manifest.file).st_size == manifest.size
    except OSError:
        return False
