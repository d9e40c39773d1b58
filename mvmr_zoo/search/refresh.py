"""Builds the index file from the database and keeps it up to date. Files are numbered and replaced atomically.

Libraries of up to `EXACT_LIMIT` photos get an exact index. Larger ones get an inverted file (IVF), which searches the
clusters nearest to the query. Added and removed photos do not change the file until there are many. Then they are added
to and removed from the index, and the clusters stay the same.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo._io import written_whole
from mvmr_zoo.errors import LibraryError
from mvmr_zoo.inference import unit
from mvmr_zoo.search.index import (
    TARGET,
    TRAINING_ROWS_PER_CLUSTER,
    HeldOutQueries,
    Kind,
    Manifest,
    Tuning,
    as_matrix,
    clusters_for,
    faiss_library,
    has_base,
    held_out,
    query_ids,
    read_base,
    read_manifest,
    train,
    tune,
    vector_parts,
    write_hashed_index,
    write_manifest,
)
from mvmr_zoo.search.score_calibration import CALIBRATION_ROWS, random_pair_quantiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mvmr_zoo.search.rows import PhotoRow
    from mvmr_zoo.search.store import Store

EXACT_LIMIT = 200_000
"""Largest number of photos for which exact search is fast enough."""

STALE_SHARE = 0.2
MAX_ADDED = 10_000
"""The file is updated when more than `STALE_SHARE` of its photos were removed, or when more than that share or more
than `MAX_ADDED` photos were added."""

_OUTGROWN_FACTOR = 4
"""The clusters are trained again when the number of photos has changed by more than this factor."""

Note = Callable[[str], None]
"""Receives a message before each slow step."""


def refresh(folder: Path, store: Store, *, note: Note = lambda text: None, damaged: bool = False) -> None:
    """Rebuild the index file if it is missing or outgrown, and update it if it is stale. The caller holds the lock.

    Args:
        folder: Library folder.
        store: Library database.
        note: Receives a message before each slow step.
        damaged: Rebuild the file in any case.

    Raises:
        LibraryError: The file cannot be written.
        LibraryDamagedError: A vector in the database has the wrong length.
    """
    ids, manifest = store.all_ids(), read_manifest(store)
    remove_leftover_files(folder, manifest)
    if manifest is None and not len(ids):
        return
    base = None
    if manifest is not None and not damaged and not _is_outgrown(manifest, len(ids)):
        if has_base(folder, manifest) and not _is_stale(manifest, ids):
            return
        base = read_base(folder, manifest, to_change=True)
    if manifest is None or base is None:
        _build(folder, store, ids, manifest, note)
    else:
        _update(folder, store, ids, manifest, base)


def leftover_files(folder: Path, manifest: Manifest | None) -> list[Path]:
    """Index files that the manifest does not name, and partial files of interrupted commands."""
    found = [*folder.glob("index-*.faiss"), *folder.glob(".index-*.part")]
    return sorted(path for path in found if manifest is None or path.name != manifest.file)


def remove_leftover_files(folder: Path, manifest: Manifest | None) -> None:
    """Delete the leftover files. The caller holds the lock, because another process may be writing such a file."""
    for path in leftover_files(folder, manifest):
        path.unlink(missing_ok=True)


def needs_refresh(folder: Path, store: Store) -> bool:
    """Whether `refresh` would rebuild or update the file."""
    ids, manifest = store.all_ids(), read_manifest(store)
    if manifest is None or not has_base(folder, manifest):
        return len(ids) > 0
    return _is_outgrown(manifest, len(ids)) or _is_stale(manifest, ids)


def _is_stale(manifest: Manifest, ids: NDArray[np.int64]) -> bool:
    """Whether enough photos were removed or added since the file was written."""
    kept = int(np.searchsorted(ids, manifest.last_id, side="right"))
    removed, added = manifest.rows - kept, len(ids) - kept
    return removed > STALE_SHARE * manifest.rows or added > min(STALE_SHARE * manifest.rows, MAX_ADDED)


def retune(folder: Path, store: Store, target: float, *, note: Note = lambda text: None) -> Manifest:
    """Measure again how many clusters each query must search. The caller holds the lock.

    Args:
        folder: Library folder.
        store: Library database.
        target: Target recall@10, in (0, 1].
        note: Receives a message before each slow step.
    """
    refresh(folder, store, note=note)
    manifest = read_manifest(store)
    assert manifest is not None
    if manifest.kind == "ivf":
        base = read_base(folder, manifest, to_change=True)
        if base is None:
            refresh(folder, store, note=note, damaged=True)
            return retune(folder, store, target, note=note)
        manifest = replace(manifest, tuning=_tune(base, store, store.all_ids(), target))
        write_manifest(store, manifest)
    return manifest


def _kind(rows: int) -> Kind:
    return "ivf" if rows > EXACT_LIMIT else "exact"


def _is_outgrown(manifest: Manifest, rows: int) -> bool:
    """Whether the number of photos now requires another kind of index, or newly trained clusters."""
    if manifest.kind == "exact":
        return _kind(rows) == "ivf"
    return not manifest.trained_rows / _OUTGROWN_FACTOR <= rows <= manifest.trained_rows * _OUTGROWN_FACTOR


def _build(folder: Path, store: Store, ids: NDArray[np.int64], previous: Manifest | None, note: Note) -> None:
    dim, kind = store.dim, _kind(len(ids))
    if kind == "ivf":
        note(f"Building the index of {len(ids):,} photos. You can search in the meantime.")
        index = _trained_ivf(store, ids, dim)
    else:
        faiss = faiss_library()
        index = faiss.index_factory(dim, "IDMap2,Flat", faiss.METRIC_INNER_PRODUCT)
    _add(index, store, after=0)
    tuning = None
    if kind == "ivf":
        note("Choosing how many clusters to search.")
        target = previous.tuning.target if previous and previous.tuning else TARGET
        tuning = _tune(index, store, ids, target)
    manifest = Manifest(
        generation=previous.generation if previous else 0,
        file="",
        size=0,
        sha256="",
        kind=kind,
        rows=len(ids),
        last_id=int(ids[-1]) if len(ids) else 0,
        dim=dim,
        background=_random_pair_quantiles(store, ids),
        trained_rows=len(ids) if kind == "ivf" else 0,
        tuning=tuning,
    )
    _publish(folder, store, index, manifest)


def _update(folder: Path, store: Store, ids: NDArray[np.int64], manifest: Manifest, base: Any) -> None:
    """Remove and add the photos that were removed and added since the file was written."""
    faiss = faiss_library()
    kept = np.zeros(manifest.last_id + 1, bool)
    kept[ids[ids <= manifest.last_id]] = True
    base.remove_ids(faiss.IDSelectorBitmap(np.packbits(~kept, bitorder="little")))
    _add(base, store, after=manifest.last_id)
    last_id = int(ids[-1]) if len(ids) else manifest.last_id
    background = _random_pair_quantiles(store, ids)
    _publish(folder, store, base, replace(manifest, rows=int(base.ntotal), last_id=last_id, background=background))


def _add(index: Any, store: Store, after: int) -> None:
    for part in vector_parts(store, after):
        index.add_with_ids(part.vectors.astype(np.float32), part.ids)


def _random_pair_quantiles(store: Store, ids: NDArray[np.int64]) -> tuple[float, ...]:
    """Quantiles of the cosine similarities of random pairs of photos."""
    sample = np.random.default_rng(0).choice(ids, min(len(ids), CALIBRATION_ROWS), replace=False)
    return random_pair_quantiles(vectors_of(store, sample))


def _trained_ivf(store: Store, ids: NDArray[np.int64], dim: int) -> Any:
    """An empty inverted file. Its clusters are trained without the photos that tuning uses as queries."""
    faiss = faiss_library()
    nlist = clusters_for(len(ids))
    index = faiss.index_factory(dim, f"IVF{nlist},SQfp16", faiss.METRIC_INNER_PRODUCT)
    index.by_residual = False  # the vectors are float16 already, so codes without residuals are lossless
    index.cp.spherical = True
    candidates = ids[~held_out(ids)]
    count = min(len(candidates), TRAINING_ROWS_PER_CLUSTER * nlist)
    sample = np.random.default_rng(0).choice(candidates, count, replace=False)
    train(index, vectors_of(store, sample))
    return index


def _tune(index: Any, store: Store, ids: NDArray[np.int64], target: float) -> Tuning:
    chosen = query_ids(ids)
    queries = HeldOutQueries(chosen, unit(vectors_of(store, chosen)))
    parts = vector_parts(store)

    def search(queries: NDArray[np.float32], k: int, nprobe: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        scores, found = index.search(queries, k, params=faiss_library().SearchParametersIVF(nprobe=nprobe))
        return scores, found

    return tune(search, queries, parts, rows=len(ids), nlist=int(index.nlist), target=target)


def vectors_of(store: Store, ids: Iterable[int]) -> NDArray[np.float32]:
    """Vectors `(N, D)` of photos as float32. Raises LibraryDamagedError if one has the wrong length."""
    return vectors_in(store, store.by_id(int(id_) for id_ in ids).values())


def vectors_in(store: Store, rows: Iterable[PhotoRow]) -> NDArray[np.float32]:
    """Vectors `(N, D)` of rows of the database. See `vectors_of`."""
    return as_matrix(store, [row.vector.tobytes() for row in rows]).astype(np.float32)


def _publish(folder: Path, store: Store, index: Any, manifest: Manifest) -> None:
    """Write the file, then its manifest, then delete earlier files. If interrupted, the earlier index stays valid."""
    generation = manifest.generation + 1
    # the random part keeps names unique, even if the database is restored from a backup
    path = folder / f"index-{generation:06}-{secrets.token_hex(4)}.faiss"
    try:
        with written_whole(path) as part:
            written = write_hashed_index(index, part)
        manifest = replace(manifest, generation=generation, file=path.name, **written._asdict())
        write_manifest(store, manifest)
        remove_leftover_files(folder, manifest)
    except OSError as error:
        store.check_not_replaced()
        raise LibraryError(
            f"{path} cannot be written ({error.strerror}). "
            "The vectors are saved in the database. Free some disk space and run the same command again."
        ) from None
