"""Looking a library over: what is damaged, left over or out of date, and what can be put right."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo.checkpoint import file_digest
from mvmr_zoo.search.index import has_base, read_base, read_manifest, stored_ids
from mvmr_zoo.search.refresh import drop_left_over, left_over, needs_upkeep, upkeep

if TYPE_CHECKING:
    from mvmr_zoo.search.store import Store

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
    return [*_vectors(store), *_rows(store), *_files(folder, store), *_index(folder, store), *_missing(store)]


def _vectors(store: Store) -> list[Finding]:
    """Vectors that cannot be searched with: of another length than the others, not finite, not of unit norm."""
    lengths = Counter(len(blob) for _, blobs in store.vectors() for blob in blobs)
    if not lengths:
        return []
    size = lengths.most_common(1)[0][0]
    findings = []
    if store.fact("dim") != str(size // 2):
        findings.append(
            Finding(
                f"the library says that its vectors are {store.fact('dim')} long, but they are {size // 2} long",
                (),
                "`mvmr-zoo index doctor --repair` puts that right.",
                lambda: store.set_fact("dim", str(size // 2)),
            )
        )
    wrong = [
        id_
        for ids, blobs in store.vectors()
        for id_, blob in zip(ids.tolist(), blobs, strict=True)
        if not _is_unit(blob, size)
    ]
    paths = [path for id_ in wrong for path in store.paths("id = ?", [id_])]
    if paths:
        advice = (
            "`mvmr-zoo index doctor --repair` forgets them; `mvmr-zoo index add` of their folder takes them in again."
        )
        names = tuple(os.fsdecode(path) for path in paths)
        findings.append(
            Finding(f"{len(paths)} photos have a damaged vector", names, advice, lambda: store.write(gone=paths))
        )
    return findings


def _is_unit(blob: bytes, size: int) -> bool:
    if len(blob) != size or size % 2:
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


def _files(folder: Path, store: Store) -> list[Finding]:
    """Index files that no manifest names, and halves that killed commands left."""
    orphans = left_over(folder, store)
    if not orphans:
        return []
    return [
        Finding(
            f"{len(orphans)} files are left over from indexes made before",
            tuple(str(path) for path in orphans),
            "`mvmr-zoo index doctor --repair` removes them.",
            lambda: drop_left_over(folder, store),
        )
    ]


def _index(folder: Path, store: Store) -> list[Finding]:
    """An index that is missing, out of date, altered, or of other photos than it should be."""
    what = _wrong_with_index(folder, store)
    if what is None:
        return []
    advice = "The next `mvmr-zoo index add` makes it again, or `mvmr-zoo index doctor --repair`."
    return [Finding(what, (), advice, lambda: upkeep(folder, store, damaged=True))]


def _wrong_with_index(folder: Path, store: Store) -> str | None:
    manifest, ids = read_manifest(store), store.all_ids()
    if manifest is None:
        return "there is no index" if len(ids) else None
    if not has_base(folder, manifest):
        return "the index file is gone, or has another length than it should"
    if file_digest(folder / manifest.file) != manifest.sha256:
        return "the index file was altered"
    base = read_base(folder, manifest)
    if base is None:
        return "the index file is not what its manifest says"
    stored = stored_ids(base)
    if stored.max(initial=0) > manifest.last_id:
        return "the index file holds photos that its manifest does not know of"
    lacking = np.setdiff1d(ids[ids <= manifest.last_id], stored)
    if len(lacking):
        return f"the index lacks {len(lacking)} photos"
    return "the index is out of date" if needs_upkeep(folder, store) else None


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
