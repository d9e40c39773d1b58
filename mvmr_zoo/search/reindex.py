"""Switches a library to another encoder.

New vectors are collected in a separate table. Searches use the old ones until all are ready. Then one transaction
replaces them. If the command is interrupted, the next one continues from there.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mvmr_zoo._io import Progress, counted
from mvmr_zoo.errors import DataError
from mvmr_zoo.images import FailureRow, Stamp, stamp_of
from mvmr_zoo.search.compatibility import bound_facts, is_bound
from mvmr_zoo.search.index import INDEX_FACT
from mvmr_zoo.search.rows import PhotoRow
from mvmr_zoo.search.schema import REINDEXED
from mvmr_zoo.search.sync import PendingPhoto, embed_photos

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from mvmr_zoo.inference import Model
    from mvmr_zoo.search.store import Store

_FACT = "reindex"
"""Name of the entry in `facts` that describes the target encoder, as JSON."""


@dataclass(frozen=True, kw_only=True)
class ReindexReport:
    """The result of switching a library to another encoder.

    Args:
        model: Model spec of the new encoder.
        embedded: Number of photos that were embedded.
        resumed: Number of photos that an interrupted command had embedded before.
        forgotten: Number of missing photos that were removed from the library.
        failures: Photos that can no longer be read, with the reason. They were removed from the library.
        total: Number of photos in the library, without missing ones.
    """

    model: str
    embedded: int
    resumed: int
    forgotten: int
    failures: list[FailureRow]
    total: int


def reindex(store: Store, model: Model, progress: Progress, *, forget_missing: bool) -> ReindexReport:
    """Replace all vectors with those of another encoder. Ids, paths and failures are kept. The caller holds the lock.

    Args:
        store: Library database.
        model: Encoder to move to.
        progress: Receives the number of processed photos and the total.
        forget_missing: Remove photos whose files are missing from the library, because no vector can be computed.

    Raises:
        DataError: Files are missing and `forget_missing` is false. The library keeps its encoder.
    """
    if is_bound(store, model):  # possibly under another name
        with store.transaction() as connection:
            _finish(connection, {"model": model.spec})
        return ReindexReport(model=model.spec, embedded=0, resumed=0, forgotten=0, failures=[], total=store.count())
    done = _prepare(store, model)
    photos = _photos(store)
    stamps = {photo.path: _current_stamp(photo.path) for photo in photos}
    missing = [path for path, stamp in stamps.items() if stamp is None and path not in done]
    if missing and not forget_missing:
        raise _missing_error(store, missing)
    pending = [
        photo._replace(stamp=stamp)
        for photo in photos
        if (stamp := stamps[photo.path]) is not None and done.get(photo.path) != stamp
    ]
    failures: list[FailureRow] = []
    progress(0, len(pending))
    count = 0
    for rows, failed in embed_photos(model, pending):
        _insert_vectors(store, rows)
        failures += failed
        count += len(rows) + len(failed)
        progress(count, len(pending))
    if lost := [failure.path for failure in failures if _current_stamp(failure.path) is None]:
        raise _missing_error(store, lost)  # their disk was disconnected in the meantime
    _replace_vectors(store, model, failures)
    return ReindexReport(
        model=model.spec,
        embedded=len(pending) - len(failures),
        resumed=len(photos) - len(pending) - len(missing),
        forgotten=len(missing),
        failures=failures,
        total=store.count(),
    )


def unfinished(store: Store) -> str | None:
    """Model spec of the target of an interrupted `reindex`. None if there is none."""
    try:
        return str(json.loads(store.fact(_FACT) or "")["model"])
    except (ValueError, KeyError, TypeError):
        return None  # no entry, or one from another release


def _prepare(store: Store, model: Model) -> dict[bytes, Stamp]:
    """Create the table of new vectors. Returns the photos it already contains, with the stamps of their files."""
    target = json.dumps(bound_facts(model), sort_keys=True)
    with store.transaction() as connection:
        row = connection.execute("SELECT value FROM facts WHERE name = ?", (_FACT,)).fetchone()
        if row is None or row[0] != target:
            connection.execute("DROP TABLE IF EXISTS reindexed")
            connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (_FACT, target))
        connection.execute(REINDEXED)
        found = connection.execute("SELECT path, size, mtime_ns FROM reindexed").fetchall()
    return {path: Stamp(size, mtime_ns) for path, size, mtime_ns in found}


def _photos(store: Store) -> list[PendingPhoto]:
    with store.transaction() as connection:
        found = connection.execute("SELECT root, path, size, mtime_ns FROM photos ORDER BY path").fetchall()
    return [PendingPhoto(root, path, Stamp(size, mtime_ns)) for root, path, size, mtime_ns in found]


def _current_stamp(path: bytes) -> Stamp | None:
    """The current stamp of a file. None if the file does not exist."""
    try:
        return stamp_of(os.stat(path))
    except OSError:
        return None


def _insert_vectors(store: Store, rows: Iterable[PhotoRow]) -> None:
    values = [(r.path, *r.stamp, r.sha256, r.taken_at, r.width, r.height, r.vector.tobytes()) for r in rows]
    with store.transaction() as connection:
        connection.executemany("INSERT OR REPLACE INTO reindexed VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)


def _replace_vectors(store: Store, model: Model, failures: list[FailureRow]) -> None:
    """Replace the old vectors with the new ones, in one transaction. `refresh` rebuilds the index file afterwards."""
    columns = "size, mtime_ns, content, taken, width, height, vector"
    with store.transaction() as connection:
        connection.executemany("DELETE FROM reindexed WHERE path = ?", [(failure.path,) for failure in failures])
        connection.execute("DELETE FROM photos WHERE path NOT IN (SELECT path FROM reindexed)")
        connection.execute(
            f"UPDATE photos SET ({columns}) = (SELECT {columns} FROM reindexed WHERE reindexed.path = photos.path)"
        )
        connection.executemany("INSERT OR REPLACE INTO failures VALUES (?, ?, ?)", failures)
        connection.execute("DELETE FROM facts WHERE name = ?", (INDEX_FACT,))
        _finish(connection, bound_facts(model))


def _finish(connection: sqlite3.Connection, facts: dict[str, str]) -> None:
    """Store the facts of the encoder, and delete the data of the move."""
    connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())
    connection.execute("DELETE FROM facts WHERE name = ?", (_FACT,))
    connection.execute("DROP TABLE IF EXISTS reindexed")


def _missing_error(store: Store, paths: list[bytes]) -> DataError:
    first = os.fsdecode(min(paths))
    were = "was" if len(paths) == 1 else "were"
    return DataError(
        f"{counted(len(paths), 'photo')} of the library {store.path.parent} {were} not found on disk, for example "
        f"{first}. "
        "The library keeps its encoder. If their disk is disconnected, connect it and run the same command again. "
        "Use --forget-missing to remove missing photos from the library."
    )
