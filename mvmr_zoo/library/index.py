"""The FAISS file: derived from the store, numbered by generation, replaced atomically.

Whenever it is missing, damaged, or made from another version of the store, it is made again.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mvmr_zoo.atomic import write_whole
from mvmr_zoo.errors import LibraryDamagedError, LibraryError
from mvmr_zoo.features import unit
from mvmr_zoo.library.store import Store
from mvmr_zoo.nearest import faiss_library

MANIFEST_FILE = "index.json"

FEWEST_FOR_BACKGROUND = 20
"""A percentile among fewer photos would say nothing."""

_PAIRS = 20_000


@dataclass(frozen=True)
class Manifest:
    """What the FAISS file was made from.

    Args:
        generation: counts up with every file made.
        file: its name.
        size: its length in bytes.
        rows: vectors in it.
        dim: D.
        made_from: `Store.version` it was made at.
        background: quantiles 0 to 100 of the cosines of photos of the library at random; empty where there are few.
    """

    generation: int
    file: str
    size: int
    rows: int
    dim: int
    made_from: str
    background: tuple[float, ...] = ()

    def percentile(self, score: float) -> float | None:
        """How many of a hundred random pairs of the library's photos are less similar; None where few are there."""
        if not self.background:
            return None
        return float(np.interp(score, self.background, np.linspace(0, 100, len(self.background))))


class Neighbours(NamedTuple):
    """Nearest vectors of each query, best first: cosine similarities and photo ids, both `(Q, K)`."""

    scores: NDArray[np.float32]
    ids: NDArray[np.int64]


class VectorIndex:
    """Exact inner-product search over the store's unit vectors.

    Args:
        index: a FAISS index with ids.
        manifest: what it was made from.
    """

    def __init__(self, index: Any, manifest: Manifest) -> None:
        self._index = index
        self.manifest = manifest

    def search(self, queries: NDArray[np.float32], k: int, *, among: NDArray[np.int64] | None = None) -> Neighbours:
        """The `k` nearest of each row of `(Q, D)`, fewer where there are fewer.

        Args:
            queries: unit vectors.
            k: how many.
            among: ids that may answer; None is all.
        """
        k = min(k, self.manifest.rows if among is None else len(among))
        if k == 0:
            shape = (len(queries), 0)
            return Neighbours(np.empty(shape, np.float32), np.empty(shape, np.int64))
        faiss = faiss_library()
        chosen = None if among is None else faiss.SearchParameters(sel=faiss.IDSelectorBatch(among))
        scores, ids = self._index.search(np.ascontiguousarray(queries, np.float32), k, params=chosen)
        return Neighbours(scores, ids)


def open_index(folder: Path, store: Store) -> VectorIndex:
    """The index of the store as it is now: read where it matches, made where it does not."""
    manifest = read_manifest(folder)
    if manifest is not None and index_matches(folder, store):
        index = _read(folder / manifest.file, manifest)
        if index is not None:
            return VectorIndex(index, manifest)
    return build_index(folder, store)


def index_matches(folder: Path, store: Store) -> bool:
    """Whether there is an index file of the right length, made from the store as it is now."""
    manifest = read_manifest(folder)
    if manifest is None or manifest.made_from != store.version:
        return False
    path = folder / manifest.file
    return path.exists() and path.stat().st_size == manifest.size


def build_index(folder: Path, store: Store) -> VectorIndex:
    """Make the FAISS file and its manifest from the store, and drop the generation before.

    Raises:
        LibraryError: it cannot be written.
        LibraryDamagedError: a vector in the store has the wrong length.
    """
    with store.alone():  # so that two commands do not publish at once
        return _build(folder, store)


def _build(folder: Path, store: Store) -> VectorIndex:
    faiss = faiss_library()
    dim = int(store.fact("dim") or 0)
    ids, blobs = store.vectors()
    if any(len(blob) != 2 * dim for blob in blobs):
        raise LibraryDamagedError(
            f"{store.path} holds a vector that is not {dim} long. "
            "Move the library folder away and run `mvmr-zoo index add` again; your photos are not touched."
        )
    vectors = unit(np.frombuffer(b"".join(blobs), np.float16).reshape(len(ids), dim).astype(np.float32))
    index = faiss.index_factory(dim, "IDMap2,Flat", faiss.METRIC_INNER_PRODUCT)
    if len(ids):
        index.add_with_ids(vectors, ids)
    previous = read_manifest(folder)
    generation = 1 + (previous.generation if previous else 0)
    data = faiss.serialize_index(index).tobytes()
    manifest = Manifest(
        generation=generation,
        file=f"index-{generation:06}.faiss",
        size=len(data),
        rows=len(ids),
        dim=dim,
        made_from=store.version,
        background=_background(vectors),
    )
    try:
        write_whole(folder / manifest.file, data)
        write_whole(folder / MANIFEST_FILE, json.dumps(asdict(manifest), indent=2).encode())
        for old in folder.glob("index-*.faiss*"):
            if old.name != manifest.file:
                old.unlink(missing_ok=True)
    except OSError as error:
        raise LibraryError(
            f"{folder / manifest.file} cannot be written ({error.strerror}). "
            "The photos are kept in the database; make room and run the same command again."
        ) from None
    return VectorIndex(index, manifest)


def _background(vectors: NDArray[np.float32]) -> tuple[float, ...]:
    """Quantiles of the cosines of random pairs of different rows of `(N, D)` unit vectors."""
    if len(vectors) < FEWEST_FOR_BACKGROUND:
        return ()
    random = np.random.default_rng(0)
    first = random.integers(len(vectors), size=_PAIRS)
    second = (first + random.integers(1, len(vectors), size=_PAIRS)) % len(vectors)
    cosines = np.einsum("nd,nd->n", vectors[first], vectors[second])
    return tuple(float(each) for each in np.quantile(cosines, np.linspace(0, 1, 101)))


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest, or None where it is missing or not one."""
    try:
        values = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
        manifest = Manifest(**{**values, "background": tuple(float(each) for each in values["background"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    plain = [field for field in fields(Manifest) if field.name != "background"]
    right = all(type(getattr(manifest, field.name)).__name__ == field.type for field in plain)
    return manifest if right else None


def index_rows(folder: Path) -> int | None:
    """Vectors in the index file, or None where it cannot be read or is not what its manifest says."""
    manifest = read_manifest(folder)
    index = None if manifest is None else _read(folder / manifest.file, manifest)
    return None if index is None else int(index.ntotal)


def _read(path: Path, manifest: Manifest) -> Any:
    """The FAISS index, or None where the file is not what the manifest says."""
    try:
        index = faiss_library().read_index(os.fspath(path))
    except (OSError, RuntimeError):
        return None
    return index if (index.ntotal, index.d) == (manifest.rows, manifest.dim) else None
