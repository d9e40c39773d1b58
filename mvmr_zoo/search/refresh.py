"""Making the FAISS file from the store, and keeping it up: numbered by generation, replaced atomically.

Up to `EXACT_LIMIT` photos every vector is compared; above, an inverted file searches the lists nearest to the query.
Photos that come and go leave the file alone until they are many; then it takes them in and lets them go, its lists
as they were.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo._io import written_whole
from mvmr_zoo.checkpoint import file_digest
from mvmr_zoo.errors import LibraryError
from mvmr_zoo.inference import unit
from mvmr_zoo.search.index import (
    TARGET,
    TRAINING_ROWS_A_LIST,
    HeldOut,
    Kind,
    Manifest,
    Tuning,
    as_matrix,
    faiss_library,
    has_base,
    held_out,
    lists_for,
    queries_among,
    read_base,
    read_manifest,
    train,
    tuned,
    vector_parts,
    write_index,
    write_manifest,
)
from mvmr_zoo.search.score_calibration import BACKGROUND_ROWS, quantiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mvmr_zoo.search.store import Store

EXACT_LIMIT = 200_000
"""Photos to which comparing all is fast enough."""

STALE_SHARE = 0.2
MOST_LATER = 10_000
"""The file is made up to date when a fifth of it is gone, or so many photos, or a fifth, came later."""

_OUTGROWN = 4

Note = Callable[[str], None]
"""Told what is going on, in a sentence, where it takes long."""


def upkeep(folder: Path, store: Store, *, note: Note = lambda text: None, damaged: bool = False) -> None:
    """Make the FAISS file again where it is missing or outgrown, and up to date where it is stale. Needs the lock.

    Args:
        folder: of the library.
        store: its database.
        note: told what takes long.
        damaged: make it again whatever its manifest says.

    Raises:
        LibraryError: it cannot be written.
        LibraryDamagedError: a vector in the store has the wrong length.
    """
    ids, manifest = store.all_ids(), read_manifest(store)
    drop_left_over(folder, store)
    if manifest is None and not len(ids):
        return
    base = None
    if manifest is not None and not damaged and not _outgrown(manifest, len(ids)):
        if has_base(folder, manifest) and not _is_stale(manifest, ids):
            return
        base = read_base(folder, manifest, to_change=True)
    if manifest is None or base is None:
        _build(folder, store, ids, manifest, note)
    else:
        _fold(folder, store, ids, manifest, base)


def left_over(folder: Path, store: Store) -> list[Path]:
    """Index files that the manifest does not name, and halves that killed commands left."""
    manifest = read_manifest(store)
    found = [*folder.glob("index-*.faiss"), *folder.glob(".index-*.part")]
    return sorted(path for path in found if manifest is None or path.name != manifest.file)


def drop_left_over(folder: Path, store: Store) -> None:
    """Remove what `left_over` names. Needs the lock: another command may be writing such a file."""
    for path in left_over(folder, store):
        path.unlink(missing_ok=True)


def needs_upkeep(folder: Path, store: Store) -> bool:
    """Whether `upkeep` would make the file again."""
    ids, manifest = store.all_ids(), read_manifest(store)
    if manifest is None or not has_base(folder, manifest):
        return len(ids) > 0
    return _outgrown(manifest, len(ids)) or _is_stale(manifest, ids)


def _is_stale(manifest: Manifest, ids: NDArray[np.int64]) -> bool:
    """Whether so many of the photos in the file are gone, or so many came later, that it is to be made up to date."""
    known = int(np.searchsorted(ids, manifest.last_id, side="right"))
    gone, later = manifest.rows - known, len(ids) - known
    return gone > STALE_SHARE * manifest.rows or later > min(STALE_SHARE * manifest.rows, MOST_LATER)


def retune(folder: Path, store: Store, target: float, *, note: Note = lambda text: None) -> Manifest:
    """Measure again how many lists a search must look into, for another recall. Needs the lock.

    Args:
        folder: of the library.
        store: its database.
        target: recall@10, in (0, 1].
        note: told what takes long.
    """
    upkeep(folder, store, note=note)
    manifest = read_manifest(store)
    assert manifest is not None
    if manifest.kind == "ivf":
        base = read_base(folder, manifest, to_change=True)
        if base is None:
            upkeep(folder, store, note=note, damaged=True)
            return retune(folder, store, target, note=note)
        manifest = replace(manifest, tuning=_tuned(base, store, target))
        write_manifest(store, manifest)
    return manifest


def _kind(rows: int) -> Kind:
    return "ivf" if rows > EXACT_LIMIT else "exact"


def _outgrown(manifest: Manifest, rows: int) -> bool:
    """Whether another kind of index is wanted now, or other lists."""
    if manifest.kind == "exact":
        return _kind(rows) == "ivf"
    return not manifest.trained_rows / _OUTGROWN <= rows <= manifest.trained_rows * _OUTGROWN


def _build(folder: Path, store: Store, ids: NDArray[np.int64], previous: Manifest | None, note: Note) -> None:
    dim, kind = store.dim, _kind(len(ids))
    if kind == "ivf":
        note(f"Making the index of {len(ids):,} photos; searching works meanwhile.")
        index = _trained_lists(store, ids, dim)
    else:
        faiss = faiss_library()
        index = faiss.index_factory(dim, "IDMap2,Flat", faiss.METRIC_INNER_PRODUCT)
    _add(index, store, after=0)
    tuning = None
    if kind == "ivf":
        note("Choosing how many of its lists a search looks into.")
        tuning = _tuned(index, store, previous.tuning.target if previous and previous.tuning else TARGET)
    manifest = Manifest(
        generation=previous.generation if previous else 0,
        file="",
        size=0,
        sha256="",
        kind=kind,
        rows=len(ids),
        last_id=int(ids[-1]) if len(ids) else 0,
        dim=dim,
        background=_background(store, ids),
        trained_rows=len(ids) if kind == "ivf" else 0,
        tuning=tuning,
    )
    _publish(folder, store, index, manifest)


def _fold(folder: Path, store: Store, ids: NDArray[np.int64], manifest: Manifest, base: Any) -> None:
    """Let go what is gone, and take in what came later."""
    faiss = faiss_library()
    kept = np.zeros(manifest.last_id + 1, bool)
    kept[ids[ids <= manifest.last_id]] = True
    base.remove_ids(faiss.IDSelectorBitmap(np.packbits(~kept, bitorder="little")))
    _add(base, store, after=manifest.last_id)
    last_id = int(ids[-1]) if len(ids) else manifest.last_id
    background = _background(store, ids)
    _publish(folder, store, base, replace(manifest, rows=int(base.ntotal), last_id=last_id, background=background))


def _add(index: Any, store: Store, after: int) -> None:
    for part in vector_parts(store, after):
        index.add_with_ids(part.vectors.astype(np.float32), part.ids)


def _background(store: Store, ids: NDArray[np.int64]) -> tuple[float, ...]:
    """Quantiles of the cosines of photos at random."""
    sample = np.random.default_rng(0).choice(ids, min(len(ids), BACKGROUND_ROWS), replace=False)
    return quantiles(vectors_of(store, sample))


def _trained_lists(store: Store, ids: NDArray[np.int64], dim: int) -> Any:
    """An empty inverted file, its lists made from photos that tuning will not ask with."""
    faiss = faiss_library()
    lists = lists_for(len(ids))
    index = faiss.index_factory(dim, f"IVF{lists},SQfp16", faiss.METRIC_INNER_PRODUCT)
    index.by_residual = False  # the store holds float16: nothing is lost
    index.cp.spherical = True
    usable = ids[~held_out(ids)]
    sample = np.random.default_rng(0).choice(usable, min(len(usable), TRAINING_ROWS_A_LIST * lists), replace=False)
    train(index, vectors_of(store, sample))
    return index


def _tuned(index: Any, store: Store, target: float) -> Tuning:
    ids = store.all_ids()
    chosen = queries_among(ids)
    asked = HeldOut(chosen, unit(vectors_of(store, chosen)))
    parts = vector_parts(store)

    def search(queries: NDArray[np.float32], k: int, nprobe: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        scores, found = index.search(queries, k, params=faiss_library().SearchParametersIVF(nprobe=nprobe))
        return scores, found

    return tuned(search, asked, parts, rows=len(ids), lists=int(index.nlist), target=target)


def vectors_of(store: Store, ids: Iterable[int]) -> NDArray[np.float32]:
    """`(N, D)` float32 vectors of some photos, as the store has them. Raises LibraryDamagedError."""
    blobs = [row.vector.tobytes() for row in store.by_id(int(id_) for id_ in ids).values()]
    return as_matrix(store, blobs).astype(np.float32)


def _publish(folder: Path, store: Store, index: Any, manifest: Manifest) -> None:
    """Write the file, then remember it, then drop those before; killed in between, the one before stays."""
    generation = manifest.generation + 1
    path = folder / f"index-{generation:06}-{secrets.token_hex(4)}.faiss"  # no other library's, nor a restored one's
    try:
        with written_whole(path) as part:
            write_index(index, part)
            size, digest = part.stat().st_size, file_digest(part)
        manifest = replace(manifest, generation=generation, file=path.name, size=size, sha256=digest)
        write_manifest(store, manifest)
        drop_left_over(folder, store)
    except OSError as error:
        raise LibraryError(
            f"{path} cannot be written ({error.strerror}). "
            "The photos are kept in the database; make room and run the same command again."
        ) from None
