"""Looking a library over: what is damaged, left over or out of date, and what can be put right."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo.library.index import MANIFEST_FILE, build_index, index_matches, index_rows, read_manifest

if TYPE_CHECKING:
    from mvmr_zoo.library.store import Store

_LENGTH_TOLERANCE = 0.01
"""float16 rounds the length of a unit vector by far less."""


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Args:
        what: in words.
        names: the files it is about; empty where it is about none.
        advice: what to do where it is not repaired.
        repair: puts it right; None where that is the user's to decide.
    """

    what: str
    names: tuple[str, ...]
    advice: str
    repair: Callable[[], object] | None = None


def examine(folder: Path, store: Store) -> list[Finding]:
    """Everything that is wrong with a library; an empty list is a sound one. Changes nothing.

    Args:
        folder: of the library.
        store: its database, open.

    Raises:
        LibraryDamagedError: the database cannot be read.
    """
    store.check_integrity()
    return [*_vectors(store), *_rows(store), *_files(folder), *_index(folder, store), *_missing(store)]


def _vectors(store: Store) -> list[Finding]:
    """Vectors that cannot be searched with: of another length than the encoder's, not finite, not of unit norm."""
    dim = int(store.fact("dim") or 0)
    ids, blobs = store.vectors()
    wrong = {id_ for id_, blob in zip(ids.tolist(), blobs, strict=True) if not _is_unit(blob, dim)}
    paths = [path for id_ in sorted(wrong) for path in store.paths("id = ?", [id_])]
    if not paths:
        return []
    return [
        Finding(
            f"{len(paths)} photos have a damaged vector",
            tuple(os.fsdecode(path) for path in paths),
            "`mvmr-zoo index doctor --repair` forgets them; `mvmr-zoo index add` of their folder takes them in again.",
            lambda: store.write(gone=paths),
        )
    ]


def _is_unit(blob: bytes, dim: int) -> bool:
    if len(blob) != 2 * dim:
        return False
    length = float(np.linalg.norm(np.frombuffer(blob, np.float16).astype(np.float32)))
    return bool(abs(length - 1) < _LENGTH_TOLERANCE)


def _rows(store: Store) -> list[Finding]:
    """Failures of photos that are in the library all the same."""
    both = store.paths("path IN (SELECT path FROM failures)")
    if not both:
        return []
    return [
        Finding(
            f"{len(both)} photos stand both among the photos and among the failures",
            tuple(os.fsdecode(path) for path in both),
            "`mvmr-zoo index doctor --repair` forgets the failures.",
            lambda: store.forget_failures(both),
        )
    ]


def _files(folder: Path) -> list[Finding]:
    """Index files that no manifest names, and halves that killed commands left."""
    manifest = read_manifest(folder)
    kept = {manifest.file if manifest else "", MANIFEST_FILE}
    left = [*folder.glob("index-*.faiss*"), *folder.glob(".index*.part")]
    orphans = sorted(path for path in left if path.name not in kept)
    if not orphans:
        return []
    return [
        Finding(
            f"{len(orphans)} files are left over from indexes made before",
            tuple(str(path) for path in orphans),
            "`mvmr-zoo index doctor --repair` removes them.",
            lambda: _remove(orphans),
        )
    ]


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _index(folder: Path, store: Store) -> list[Finding]:
    """An index that is missing, of another generation of the photos, or of another content than it says."""
    if not store.count():
        return []
    if index_matches(folder, store) and index_rows(folder) == store.count():
        return []
    what = "the index does not match the photos"
    advice = "The next search makes it again, or `mvmr-zoo index doctor --repair`."
    return [Finding(what, (), advice, lambda: build_index(folder, store))]


def _missing(store: Store) -> list[Finding]:
    """Photos whose files are not there now."""
    gone = [path for path in store.paths("missing = 0") if not os.path.exists(path)]
    if not gone:
        return []
    return [
        Finding(
            f"{len(gone)} photos are not where they were",
            tuple(os.fsdecode(path) for path in gone),
            "Connect their disk, if it is not; `mvmr-zoo index add` of their folder takes note of it.",
        )
    ]
