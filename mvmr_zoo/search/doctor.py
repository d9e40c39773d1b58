"""Finds what is damaged, left over or out of date in a library, and repairs it where possible."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo._io import counted
from mvmr_zoo.checkpoint import file_digest
from mvmr_zoo.search.index import has_base, read_base, read_manifest, stored_ids
from mvmr_zoo.search.refresh import leftover_files, needs_refresh, refresh, remove_leftover_files

if TYPE_CHECKING:
    from mvmr_zoo.search.store import Store

_NORM_TOLERANCE = 0.01
"""Tolerance of the norm of a unit vector. The rounding error of float16 is far smaller."""


@dataclass(frozen=True)
class Finding:
    """A problem in a library.

    Args:
        what: Description of the problem, without a period at the end.
        names: Paths of the affected files. Empty if the problem does not concern single files.
        advice: What to do if the problem is not repaired.
        repair: Repairs the problem. None if only the user can.
    """

    what: str
    names: tuple[str, ...]
    advice: str
    repair: Callable[[], object] | None = None


def examine(folder: Path, store: Store) -> list[Finding]:
    """Find all problems of a library, without changing it. The list is empty if there are none.

    Args:
        folder: Library folder.
        store: Library database.

    Raises:
        LibraryDamagedError: The database cannot be read.
    """
    store.check_integrity()
    return [*_vectors(store), *_rows(store), *_files(folder, store), *_index(folder, store), *_missing(store)]


def _vectors(store: Store) -> list[Finding]:
    """Find vectors that cannot be searched: of a different length than the others, not finite, or not of unit norm."""
    lengths = Counter(len(blob) for _, blobs in store.vectors() for blob in blobs)
    if not lengths:
        return []
    size = lengths.most_common(1)[0][0]
    findings = []
    if store.fact("dim") != str(size // 2):
        findings.append(
            Finding(
                f"The stored vector length is {store.fact('dim')}, but the vectors have length {size // 2}",
                (),
                "Run `mvmr-zoo index doctor --repair` to correct it.",
                lambda: store.set_fact("dim", str(size // 2)),
            )
        )
    damaged = [
        id_
        for ids, blobs in store.vectors()
        for id_, blob in zip(ids.tolist(), blobs, strict=True)
        if not _is_unit(blob, size)
    ]
    paths = [path for id_ in damaged for path in store.paths("id = ?", [id_])]
    if paths:
        advice = (
            "Run `mvmr-zoo index doctor --repair` to remove them from the library. "
            "Then run `mvmr-zoo index add` for their folder to index them again."
        )
        names = tuple(os.fsdecode(path) for path in paths)
        what = f"{counted(len(paths), 'photo')} with a damaged vector"
        findings.append(Finding(what, names, advice, lambda: store.write(removed=paths)))
    return findings


def _is_unit(blob: bytes, size: int) -> bool:
    if len(blob) != size or size % 2:
        return False
    norm = float(np.linalg.norm(np.frombuffer(blob, np.float16).astype(np.float32)))
    return bool(abs(norm - 1) < _NORM_TOLERANCE)


def _rows(store: Store) -> list[Finding]:
    """Find photos that are indexed and also listed as failures."""
    both = store.paths("path IN (SELECT path FROM failures)")
    if not both:
        return []
    return [
        Finding(
            f"{counted(len(both), 'indexed photo')} also listed as failed",
            tuple(os.fsdecode(path) for path in both),
            "Run `mvmr-zoo index doctor --repair` to remove the failure records.",
            lambda: store.forget_failures(both),
        )
    ]


def _files(folder: Path, store: Store) -> list[Finding]:
    """Find index files that the manifest does not name, and partial files of interrupted commands."""
    leftovers = leftover_files(folder, read_manifest(store))
    if not leftovers:
        return []
    return [
        Finding(
            f"{counted(len(leftovers), 'file')} left over from earlier indexes",
            tuple(str(path) for path in leftovers),
            "Run `mvmr-zoo index doctor --repair` to remove them.",
            lambda: remove_leftover_files(folder, read_manifest(store)),
        )
    ]


def _index(folder: Path, store: Store) -> list[Finding]:
    """Find an index that is missing, out of date or damaged, or that does not match the photos."""
    what = _index_problem(folder, store)
    if what is None:
        return []
    advice = "The next `mvmr-zoo index add` rebuilds it, and so does `mvmr-zoo index doctor --repair`."
    return [Finding(what, (), advice, lambda: refresh(folder, store, damaged=True))]


def _index_problem(folder: Path, store: Store) -> str | None:
    manifest, ids = read_manifest(store), store.all_ids()
    if manifest is None:
        return "The index is missing" if len(ids) else None
    if not has_base(folder, manifest):
        return "The index file is missing or has the wrong size"
    if file_digest(folder / manifest.file) != manifest.sha256:
        return "The index file was modified"
    base = read_base(folder, manifest)
    if base is None:
        return "The index file does not match its manifest"
    stored = stored_ids(base)
    if stored.max(initial=0) > manifest.last_id:
        return "The index file contains photos that are newer than its manifest"
    lacking = np.setdiff1d(ids[ids <= manifest.last_id], stored)
    if len(lacking):
        return f"The index lacks {counted(len(lacking), 'photo')}"
    return "The index is out of date" if needs_refresh(folder, store) else None


def _missing(store: Store) -> list[Finding]:
    """Find indexed photos whose files do not exist."""
    missing = [path for path in store.paths("missing = 0") if not os.path.exists(path)]
    if not missing:
        return []
    return [
        Finding(
            f"{counted(len(missing), 'photo')} not found on disk",
            tuple(os.fsdecode(path) for path in missing),
            "Connect their disk if it is disconnected. If they were deleted or moved, "
            "run `mvmr-zoo index add` for their folder.",
        )
    ]
