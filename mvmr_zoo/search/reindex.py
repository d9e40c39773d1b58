"""Moving a library to another encoder.

New vectors gather in a table of their own. The old ones answer until all are there; then one transaction puts the new
ones in their place. A command that is killed goes on when it is run again.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mvmr_zoo.errors import DataError
from mvmr_zoo.images import FailureRow, Stamp, stamp_of
from mvmr_zoo.search.compatibility import bound_facts, is_bound
from mvmr_zoo.search.index import INDEX_FACT
from mvmr_zoo.search.rows import PhotoRow
from mvmr_zoo.search.schema import REINDEXED
from mvmr_zoo.search.sync import Pending, Progress, embedded

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from mvmr_zoo.inference import Model
    from mvmr_zoo.search.store import Store

_FACT = "reindex"
"""The facts of the encoder that the library is being moved to, as JSON."""


@dataclass(frozen=True, kw_only=True)
class ReindexReport:
    """The result of moving a library to another encoder.

    Args:
        model: Spec of the encoder that the library belongs to now.
        embedded: Photos that this command decoded and embedded.
        resumed: Photos that an interrupted command had embedded before.
        forgotten: Missing photos that were forgotten.
        failures: Photos that can no longer be read, with the reason. They are no longer photos of the library.
        total: Photos in the library, without missing ones.
    """

    model: str
    embedded: int
    resumed: int
    forgotten: int
    failures: list[FailureRow]
    total: int


def reindex(store: Store, model: Model, progress: Progress, *, forget_missing: bool) -> ReindexReport:
    """Replace every vector by that of another encoder. Ids, paths and failures are kept. Needs the lock.

    Args:
        store: The database of the library.
        model: The encoder to move to.
        progress: Receives the number of photos done and to do.
        forget_missing: Forget the photos whose files are missing, because they have no new vector.

    Raises:
        DataError: Files are missing, and `forget_missing` is false. The library stays with its encoder.
    """
    if is_bound(store, model):  # perhaps under another name
        with store.alone() as connection:
            _settle(connection, {"model": model.spec})
        return ReindexReport(model=model.spec, embedded=0, resumed=0, forgotten=0, failures=[], total=store.count())
    done = _begin(store, model)
    photos = _photos(store)
    stamps = {photo.path: _stamp(photo.path) for photo in photos}
    missing = [path for path, stamp in stamps.items() if stamp is None and path not in done]
    if missing and not forget_missing:
        raise _missing(store, missing)
    pending = [
        photo._replace(stamp=stamp)
        for photo in photos
        if (stamp := stamps[photo.path]) is not None and done.get(photo.path) != stamp
    ]
    failures: list[FailureRow] = []
    progress(0, len(pending))
    count = 0
    for rows, failed in embedded(model, pending):
        _keep(store, rows)
        failures += failed
        count += len(rows) + len(failed)
        progress(count, len(pending))
    if gone := [failure.path for failure in failures if _stamp(failure.path) is None]:
        raise _missing(store, gone)  # their disk was disconnected meanwhile
    _switch(store, model, failures)
    return ReindexReport(
        model=model.spec,
        embedded=len(pending) - len(failures),
        resumed=len(photos) - len(pending) - len(missing),
        forgotten=len(missing),
        failures=failures,
        total=store.count(),
    )


def unfinished(store: Store) -> str | None:
    """The spec of the encoder that an interrupted `reindex` was moving the library to. None if there is none."""
    try:
        return str(json.loads(store.fact(_FACT) or "")["model"])
    except (ValueError, KeyError, TypeError):
        return None  # there is none, or another release wrote it


def _begin(store: Store, model: Model) -> dict[bytes, Stamp]:
    """Make room for the new vectors; returns the photos that have one, with the file's state when it was made."""
    target = json.dumps(bound_facts(model), sort_keys=True)
    with store.alone() as connection:
        row = connection.execute("SELECT value FROM facts WHERE name = ?", (_FACT,)).fetchone()
        if row is None or row[0] != target:
            connection.execute("DROP TABLE IF EXISTS reindexed")
            connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (_FACT, target))
        connection.execute(REINDEXED)
        found = connection.execute("SELECT path, size, mtime_ns FROM reindexed").fetchall()
    return {path: Stamp(size, mtime_ns) for path, size, mtime_ns in found}


def _photos(store: Store) -> list[Pending]:
    with store.alone() as connection:
        found = connection.execute("SELECT root, path, size, mtime_ns FROM photos ORDER BY path").fetchall()
    return [Pending(root, path, Stamp(size, mtime_ns)) for root, path, size, mtime_ns in found]


def _stamp(path: bytes) -> Stamp | None:
    """The stamp of a file now, or None if it cannot be found."""
    try:
        return stamp_of(os.stat(path))
    except OSError:
        return None


def _keep(store: Store, rows: Iterable[PhotoRow]) -> None:
    values = [(r.path, *r.stamp, r.content, r.taken, r.width, r.height, r.vector.tobytes()) for r in rows]
    with store.alone() as connection:
        connection.executemany("INSERT OR REPLACE INTO reindexed VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)


def _switch(store: Store, model: Model, failures: list[FailureRow]) -> None:
    """Put the new vectors in place of the old ones, in one transaction. The index file is made again by `upkeep`."""
    columns = "size, mtime_ns, content, taken, width, height, vector"
    with store.alone() as connection:
        connection.executemany("DELETE FROM reindexed WHERE path = ?", [(failure.path,) for failure in failures])
        connection.execute("DELETE FROM photos WHERE path NOT IN (SELECT path FROM reindexed)")
        connection.execute(
            f"UPDATE photos SET ({columns}) = (SELECT {columns} FROM reindexed WHERE reindexed.path = photos.path)"
        )
        connection.executemany("INSERT OR REPLACE INTO failures VALUES (?, ?, ?)", failures)
        connection.execute("DELETE FROM facts WHERE name = ?", (INDEX_FACT,))
        _settle(connection, bound_facts(model))


def _settle(connection: sqlite3.Connection, facts: dict[str, str]) -> None:
    """Remember the encoder, and drop what a move left."""
    connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())
    connection.execute("DELETE FROM facts WHERE name = ?", (_FACT,))
    connection.execute("DROP TABLE IF EXISTS reindexed")


def _missing(store: Store, paths: list[bytes]) -> DataError:
    first = os.fsdecode(min(paths))
    return DataError(
        f"{len(paths)} photos of the library {store.path.parent} cannot be found, the first is {first}. The library "
        "keeps its encoder. If their disk is not connected, connect it and run the same command again. "
        "--forget-missing forgets them."
    )
