"""The SQLite database of a library: photos with their vectors, and failures. All other files are derived from it."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mvmr_zoo._io import Identity, check_regular, identity_of
from mvmr_zoo.errors import LibraryDamagedError, LibraryError
from mvmr_zoo.images import FailureRow, Stamp
from mvmr_zoo.search.rows import PhotoRow
from mvmr_zoo.search.schema import FACTS, PHOTOS, SCHEMA_VERSION, explain_sqlite_error

DATABASE_FILE = "library.sqlite"


class Store:
    """The database of a library. Use it as a context manager.

    Args:
        folder: Library folder. It is created if it does not exist.

    Raises:
        LibraryError: The folder cannot be created or written.
        LibraryDamagedError: The database cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / DATABASE_FILE
        self._file: Identity | None = None
        with self._translated_errors():
            folder.mkdir(parents=True, exist_ok=True)
            for suffix in ("", "-wal", "-shm"):  # for a pipe, SQLite says that the disk is full
                with suppress(FileNotFoundError):
                    check_regular(self.path.with_name(self.path.name + suffix))
            self._connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            self._prepare()
            self._file = identity_of(self.path)
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        with self._translated_errors():
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.executescript(FACTS)
        found = self.fact("schema_version")
        if found == "1":
            found = self._from_schema_1()
        if found not in (None, str(SCHEMA_VERSION)):
            raise LibraryError(
                f"{self.path} has schema {found}; expected {SCHEMA_VERSION}. "
                "Use the release that created it, or another --library."
            )
        with self._translated_errors():
            self._connection.executescript(PHOTOS)
        if found is None:
            self.settle_facts({"schema_version": str(SCHEMA_VERSION)})

    def _from_schema_1(self) -> str:
        """Migrate to schema 2, which adds the column `missing` to `photos`."""
        with self.transaction():
            if self.fact("schema_version") == "1":  # no other process has migrated it
                self._connection.execute("ALTER TABLE photos ADD COLUMN missing INTEGER NOT NULL DEFAULT 0")
                self._connection.execute("UPDATE facts SET value = '2' WHERE name = 'schema_version'")
        return str(SCHEMA_VERSION)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def fact(self, name: str) -> str | None:
        """Value of an entry in the table `facts`, for example the hash of the weights. None if it is not set."""
        with self._translated_errors():
            row = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def settle_facts(self, facts: dict[str, str]) -> None:
        """Insert entries into the table `facts`, in one transaction. Existing entries are not changed."""
        with self.transaction():
            self._connection.executemany("INSERT OR IGNORE INTO facts VALUES (?, ?)", facts.items())

    @property
    def dim(self) -> int:
        """Length D of the vectors, 0 before the first photo. Raises LibraryDamagedError if it is not a number."""
        text = self.fact("dim") or "0"
        if not text.isdecimal():
            raise LibraryDamagedError(
                f"{self.path} has the vector length {text!r}; expected a number. Run `mvmr-zoo index doctor --repair`."
            )
        return int(text)

    def set_fact(self, name: str, value: str) -> None:
        """Set an entry of the table `facts`."""
        with self.transaction():
            self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def write(
        self, photos: Iterable[PhotoRow] = (), failures: Iterable[FailureRow] = (), removed: Iterable[bytes] = ()
    ) -> None:
        """In one transaction, delete the removed paths, then insert failures and photos."""
        photos, failures, removed = list(photos), list(failures), list(removed)
        if not (photos or failures or removed):
            return
        with self.transaction():
            run = self._connection.executemany
            run("DELETE FROM photos WHERE path = ?", [(path,) for path in removed])
            run("DELETE FROM failures WHERE path = ?", [(path,) for path in removed])
            run("INSERT OR REPLACE INTO failures VALUES (?, ?, ?)", failures)
            run("DELETE FROM failures WHERE path = ?", [(photo.path,) for photo in photos])
            run(
                "INSERT OR REPLACE INTO photos (root, path, size, mtime_ns, content, taken, width, height, vector)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (p.root, p.path, *p.stamp, p.sha256, p.taken_at, p.width, p.height, p.vector.tobytes())
                    for p in photos
                ],
            )

    def mark(self, missing: Iterable[bytes] = (), found: Iterable[bytes] = ()) -> None:
        """Mark photos as missing, and unmark others whose files exist again.

        If another photo has the same file content, the missing one was moved and is deleted from the database.
        """
        missing, found = list(missing), list(found)
        with self.transaction():
            run = self._connection.executemany
            run("UPDATE photos SET missing = 1 WHERE path = ? AND missing = 0", [(path,) for path in missing])
            run("UPDATE photos SET missing = 0 WHERE path = ? AND missing = 1", [(path,) for path in found])
            run(_DELETE_MOVED, [(path,) for path in missing])
            run("DELETE FROM failures WHERE path = ?", [(path,) for path in missing])

    def stamps(self, folder: bytes) -> dict[bytes, Stamp]:
        """Stamps of the photos in a folder and its subfolders, by path."""
        with self._translated_errors():
            rows = self._connection.execute(
                "SELECT path, size, mtime_ns FROM photos WHERE path >= ? AND path < ?", path_range(folder)
            )
            return {path: Stamp(size, mtime_ns) for path, size, mtime_ns in rows}

    def failed(self, folder: bytes) -> set[bytes]:
        """Failed paths: the folder itself, or paths in the folder and its subfolders."""
        query = "SELECT path FROM failures WHERE path = ? OR path >= ? AND path < ?"
        with self._translated_errors():
            rows = self._connection.execute(query, (folder, *path_range(folder)))
            return {path for (path,) in rows}

    def sizes(self) -> set[int]:
        """File sizes of all photos. A new file of another size cannot be a copy of a known photo."""
        with self._translated_errors():
            return {size for (size,) in self._connection.execute("SELECT DISTINCT size FROM photos")}

    def by_sha256(self, sha256: bytes) -> PhotoRow | None:
        """A photo whose file has this SHA-256 digest. None if there is none."""
        with self._translated_errors():
            row = self._connection.execute(
                f"SELECT {_COLUMNS} FROM photos WHERE content = ? LIMIT 1", (sha256,)
            ).fetchone()
        return None if row is None else _photo_row(row)

    def by_id(self, ids: Iterable[int], *, missing: bool = True) -> dict[int, PhotoRow]:
        """Photos by id, in the order of `ids`. Unknown ids are ignored, and missing photos if `missing` is false."""
        condition = "1" if missing else "missing = 0"
        return {id_: _photo_row(row) for id_, row in self._select_by_id(ids, _COLUMNS, condition).items()}

    def paths_of(self, ids: Iterable[int]) -> dict[int, bytes]:
        """Paths by id, in the order of `ids`. Unknown ids and missing photos are ignored."""
        return {id_: path for id_, (path,) in self._select_by_id(ids, "path", "missing = 0").items()}

    def _select_by_id(self, ids: Iterable[int], columns: str, condition: str) -> dict[int, tuple[Any, ...]]:
        wanted = [id_ for id_ in ids if 0 < id_ <= _MAX_ID]
        found: dict[int, tuple[Any, ...]] = {}
        with self._translated_errors():
            for first in range(0, len(wanted), _IDS_PER_QUERY):
                part = wanted[first : first + _IDS_PER_QUERY]
                marks = ", ".join("?" * len(part))
                query = f"SELECT id, {columns} FROM photos WHERE id IN ({marks}) AND {condition}"
                found |= {row[0]: row[1:] for row in self._connection.execute(query, part)}
        return {id_: found[id_] for id_ in wanted if id_ in found}

    def ids(self, condition: str, values: Iterable[object]) -> NDArray[np.int64]:
        """Ids `(N,)` of the photos that meet an SQL condition on `photos`. Missing photos are excluded."""
        with self._translated_errors():
            rows = self._connection.execute(f"SELECT id FROM photos WHERE missing = 0 AND {condition}", tuple(values))
            return np.fromiter((id_ for (id_,) in rows), np.int64)

    def paths(self, condition: str = "1", values: Iterable[object] = ()) -> list[bytes]:
        """Sorted paths of the photos that meet an SQL condition on `photos`."""
        query = f"SELECT path FROM photos WHERE {condition} ORDER BY path"
        with self._translated_errors():
            return [path for (path,) in self._connection.execute(query, tuple(values))]

    def has_photos_in(self, folder: bytes) -> bool:
        """Whether there are photos in a folder and its subfolders, missing ones included."""
        query = "SELECT 1 FROM photos WHERE path >= ? AND path < ? LIMIT 1"
        with self._translated_errors():
            return self._connection.execute(query, path_range(folder)).fetchone() is not None

    def roots(self) -> list[bytes]:
        """Sorted folders that were added to the library and have photos in it."""
        with self._translated_errors():
            return [root for (root,) in self._connection.execute("SELECT DISTINCT root FROM photos ORDER BY root")]

    def vectors(self, after: int = 0) -> Iterator[tuple[NDArray[np.int64], list[bytes]]]:
        """Yield ids `(N,)` and vectors as bytes of all photos with ids above `after`, missing ones included."""
        with self._translated_errors():
            found = self._connection.execute("SELECT id, vector FROM photos WHERE id > ? ORDER BY id", (after,))
            while rows := found.fetchmany(_ROWS_PER_PART):
                yield np.asarray([row[0] for row in rows], np.int64), [row[1] for row in rows]

    def all_ids(self) -> NDArray[np.int64]:
        """Sorted ids `(N,)` of all photos, including missing ones. Ids are never reused, and vectors do not change."""
        with self._translated_errors():
            rows = self._connection.execute("SELECT id FROM photos ORDER BY id")
            return np.fromiter((id_ for (id_,) in rows), np.int64)

    @property
    def is_empty(self) -> bool:
        """Whether there are no photos, apart from missing ones."""
        with self._translated_errors():
            return self._connection.execute("SELECT 1 FROM photos WHERE missing = 0 LIMIT 1").fetchone() is None

    def count(self) -> int:
        """Number of photos, without missing ones."""
        with self._translated_errors():
            return int(self._connection.execute("SELECT COUNT(*) FROM photos WHERE missing = 0").fetchone()[0])

    def failures(self) -> list[FailureRow]:
        """All failures, sorted by path."""
        with self._translated_errors():
            return [FailureRow(*row) for row in self._connection.execute("SELECT * FROM failures ORDER BY path")]

    def forget_failures(self, paths: Iterable[bytes]) -> None:
        """Delete failures."""
        with self.transaction():
            self._connection.executemany("DELETE FROM failures WHERE path = ?", [(path,) for path in paths])

    def check_integrity(self) -> None:
        """Raise LibraryDamagedError if the integrity check of SQLite fails."""
        with self._translated_errors():
            (found,) = self._connection.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(found)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write transaction. It is committed at the end of the block and rolled back on an error.

        Raises:
            LibraryError: The database cannot be written.
        """
        with self._translated_errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def check_not_replaced(self) -> None:
        """Raise LibraryError if the file of the database is not the one that was opened."""
        if self._file is not None and identity_of(self.path) != self._file:
            raise LibraryError(
                f"{self.path} was deleted or replaced while it was in use. Changes since then are lost. Run the "
                "command again."
            )

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Convert database errors to `LibraryError`. It is also raised if the file is not the one that was opened."""
        try:
            yield
            self.check_not_replaced()  # SQLite would go on with the deleted file
        except sqlite3.OperationalError as error:
            raise LibraryError(explain_sqlite_error(self.path, str(error))) from None
        except sqlite3.DatabaseError as error:
            raise LibraryDamagedError(
                f"{self.path} is damaged ({error}). Your photos are not affected. "
                "Move the library folder away and run `mvmr-zoo index add` again."
            ) from None
        except OSError as error:
            reason = "no space left on the disk" if error.errno == errno.ENOSPC else error.strerror
            if error.filename not in (None, os.fspath(self.path.parent)):
                reason = f"{Path(error.filename).name}: {reason}"
            raise LibraryError(f"{self.path.parent} cannot be used as a library folder: {reason}.") from None


_ROWS_PER_PART = 4_096
_IDS_PER_QUERY = 500
_MAX_ID = 2**63 - 1

_DELETE_MOVED = """
DELETE FROM photos WHERE path = ? AND EXISTS (
    SELECT 1 FROM photos AS other WHERE other.content = photos.content AND other.missing = 0
)
"""

_COLUMNS = "root, path, size, mtime_ns, content, taken, width, height, vector"


def _photo_row(row: tuple[bytes, bytes, int, int, bytes, str | None, int, int, bytes]) -> PhotoRow:
    root, path, size, mtime_ns, sha256, taken_at, width, height, vector = row
    return PhotoRow(
        root=root,
        path=path,
        stamp=Stamp(size, mtime_ns),
        sha256=sha256,
        taken_at=taken_at,
        width=width,
        height=height,
        vector=np.frombuffer(vector, np.float16),
    )


def path_range(folder: bytes) -> tuple[bytes, bytes]:
    """Half-open range of the paths in a folder and its subfolders.

    It goes from `folder/` to `folder0`, because 0 follows / in ASCII.
    """
    base = folder.rstrip(os.sep.encode())
    return base + b"/", base + b"0"
