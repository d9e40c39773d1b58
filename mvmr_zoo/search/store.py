"""`library.sqlite`: one row a photo, one row a failure. It is the truth; everything else is derived."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mvmr_zoo.errors import LibraryDamagedError, LibraryError
from mvmr_zoo.images import FailureRow, Stamp
from mvmr_zoo.search.rows import PhotoRow
from mvmr_zoo.search.schema import DATABASE_FILE, FACTS, PHOTOS, SCHEMA_VERSION, why_unusable


class Store:
    """The library's database. Use as a context manager.

    Args:
        folder: of the library; made when it is not there.

    Raises:
        LibraryError: the folder cannot be made or written.
        LibraryDamagedError: the database cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / DATABASE_FILE
        with self._explained():
            folder.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        with self._explained():
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.executescript(FACTS)
        found = self.fact("schema_version")
        if found == "1":
            found = self._from_schema_1()
        if found not in (None, str(SCHEMA_VERSION)):
            raise LibraryError(
                f"{self.path} has schema {found}; this release reads {SCHEMA_VERSION}. "
                "Use the release that made it, or another --library."
            )
        with self._explained():
            self._connection.executescript(PHOTOS)
        if found is None:
            self.settle_facts({"schema_version": str(SCHEMA_VERSION)})

    def _from_schema_1(self) -> str:
        """Add what schema 2 has: whether a photo's file was missing when last looked for."""
        with self.alone():
            if self.fact("schema_version") == "1":  # no other command was first
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
        """Let go of the database."""
        self._connection.close()

    def fact(self, name: str) -> str | None:
        """A remembered fact, as the model's hash; None where it was never set."""
        with self._explained():
            row = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def settle_facts(self, facts: dict[str, str]) -> None:
        """Remember facts that were not set before, all at once; one that is set stays as it is."""
        with self.alone():
            self._connection.executemany("INSERT OR IGNORE INTO facts VALUES (?, ?)", facts.items())

    @property
    def dim(self) -> int:
        """D, the length of the vectors; 0 before the first photo. Raises LibraryDamagedError where it is no number."""
        text = self.fact("dim") or "0"
        if not text.isdecimal():
            raise LibraryDamagedError(
                f"{self.path} says that its vectors are {text!r} long. `mvmr-zoo index doctor --repair` finds it again."
            )
        return int(text)

    def set_fact(self, name: str, value: str) -> None:
        """Remember a fact, in place of what it was."""
        with self.alone():
            self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def write(
        self, photos: Iterable[PhotoRow] = (), failures: Iterable[FailureRow] = (), gone: Iterable[bytes] = ()
    ) -> None:
        """One transaction: forget the paths that are gone, then remember failures and photos."""
        photos, failures, gone = list(photos), list(failures), list(gone)
        if not (photos or failures or gone):
            return
        with self.alone():
            run = self._connection.executemany
            run("DELETE FROM photos WHERE path = ?", [(path,) for path in gone])
            run("DELETE FROM failures WHERE path = ?", [(path,) for path in gone])
            run("INSERT OR REPLACE INTO failures VALUES (?, ?, ?)", failures)
            run("DELETE FROM failures WHERE path = ?", [(photo.path,) for photo in photos])
            run(
                "INSERT OR REPLACE INTO photos (root, path, size, mtime_ns, content, taken, width, height, vector)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(p.root, p.path, *p.stamp, p.content, p.taken, p.width, p.height, p.vector.tobytes()) for p in photos],
            )

    def mark(self, missing: Iterable[bytes] = (), back: Iterable[bytes] = ()) -> None:
        """Photos whose files are missing now, and others whose files are back.

        A missing photo whose content another photo has was moved, and is forgotten.
        """
        missing, back = list(missing), list(back)
        with self.alone():
            run = self._connection.executemany
            run("UPDATE photos SET missing = 1 WHERE path = ? AND missing = 0", [(path,) for path in missing])
            run("UPDATE photos SET missing = 0 WHERE path = ? AND missing = 1", [(path,) for path in back])
            run(_FORGET_MOVED, [(path,) for path in missing])
            run("DELETE FROM failures WHERE path = ?", [(path,) for path in missing])

    def stamps(self, folder: bytes) -> dict[bytes, Stamp]:
        """The stamp of every photo below a folder, by path."""
        with self._explained():
            rows = self._connection.execute(
                "SELECT path, size, mtime_ns FROM photos WHERE path >= ? AND path < ?", below(folder)
            )
            return {path: Stamp(size, mtime_ns) for path, size, mtime_ns in rows}

    def failed(self, folder: bytes) -> set[bytes]:
        """The paths below a folder, and the folder itself, that failed when last tried."""
        query = "SELECT path FROM failures WHERE path = ? OR path >= ? AND path < ?"
        with self._explained():
            rows = self._connection.execute(query, (folder, *below(folder)))
            return {path for (path,) in rows}

    def sizes(self) -> set[int]:
        """The file size of every photo: a new file of another size has no known content."""
        with self._explained():
            return {size for (size,) in self._connection.execute("SELECT DISTINCT size FROM photos")}

    def by_content(self, content: bytes) -> PhotoRow | None:
        """A photo with this SHA-256, if there is one."""
        with self._explained():
            row = self._connection.execute(
                f"SELECT {_COLUMNS} FROM photos WHERE content = ? LIMIT 1", (content,)
            ).fetchone()
        return None if row is None else _photo(row)

    def by_id(self, ids: Iterable[int]) -> dict[int, PhotoRow]:
        """Photos by id, in the order of the ids; ids that are not there are left out."""
        return {id_: _photo(row) for id_, row in self._some(ids, _COLUMNS, "1").items()}

    def paths_of(self, ids: Iterable[int]) -> dict[int, bytes]:
        """Paths by id, in the order of the ids; ids that are not there and missing photos are left out."""
        return {id_: path for id_, (path,) in self._some(ids, "path", "missing = 0").items()}

    def _some(self, ids: Iterable[int], columns: str, condition: str) -> dict[int, tuple[Any, ...]]:
        wanted = [id_ for id_ in ids if 0 < id_ <= _MOST_ID]
        found: dict[int, tuple[Any, ...]] = {}
        with self._explained():
            for first in range(0, len(wanted), _IDS_A_QUERY):
                some = wanted[first : first + _IDS_A_QUERY]
                marks = ", ".join("?" * len(some))
                query = f"SELECT id, {columns} FROM photos WHERE id IN ({marks}) AND {condition}"
                found |= {row[0]: row[1:] for row in self._connection.execute(query, some)}
        return {id_: found[id_] for id_ in wanted if id_ in found}

    def ids(self, condition: str, values: Iterable[object]) -> NDArray[np.int64]:
        """`(N,)` ids of the photos at hand for which an SQL condition on `photos` holds."""
        with self._explained():
            rows = self._connection.execute(f"SELECT id FROM photos WHERE missing = 0 AND {condition}", tuple(values))
            return np.fromiter((id_ for (id_,) in rows), np.int64)

    def paths(self, condition: str = "1", values: Iterable[object] = ()) -> list[bytes]:
        """Paths of the photos for which an SQL condition on `photos` holds, in order."""
        query = f"SELECT path FROM photos WHERE {condition} ORDER BY path"
        with self._explained():
            return [path for (path,) in self._connection.execute(query, tuple(values))]

    def vectors(self, after: int = 0) -> Iterator[tuple[NDArray[np.int64], list[bytes]]]:
        """Ids `(N,)` above one, in order, and their vectors' bytes, in parts; photos that are missing too."""
        with self._explained():
            found = self._connection.execute("SELECT id, vector FROM photos WHERE id > ? ORDER BY id", (after,))
            while rows := found.fetchmany(_ROWS_A_PART):
                yield np.asarray([row[0] for row in rows], np.int64), [row[1] for row in rows]

    def all_ids(self) -> NDArray[np.int64]:
        """`(N,)` ids of all photos in order, missing ones too. None is given twice, and no vector is ever changed."""
        with self._explained():
            rows = self._connection.execute("SELECT id FROM photos ORDER BY id")
            return np.fromiter((id_ for (id_,) in rows), np.int64)

    @property
    def is_empty(self) -> bool:
        """Whether there is no photo that is not missing."""
        with self._explained():
            return self._connection.execute("SELECT 1 FROM photos WHERE missing = 0 LIMIT 1").fetchone() is None

    def count(self) -> int:
        """How many photos there are, those that are missing left out."""
        with self._explained():
            return int(self._connection.execute("SELECT COUNT(*) FROM photos WHERE missing = 0").fetchone()[0])

    def failures(self) -> list[FailureRow]:
        """Every failure, by path."""
        with self._explained():
            return [FailureRow(*row) for row in self._connection.execute("SELECT * FROM failures ORDER BY path")]

    def forget_failures(self, paths: Iterable[bytes]) -> None:
        """Forget that some photos failed."""
        with self.alone():
            self._connection.executemany("DELETE FROM failures WHERE path = ?", [(path,) for path in paths])

    def check_integrity(self) -> None:
        """Raise LibraryDamagedError where SQLite finds its file inconsistent."""
        with self._explained():
            (found,) = self._connection.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(found)

    @contextmanager
    def alone(self) -> Iterator[sqlite3.Connection]:
        """A transaction in which no other command writes; committed at the end, undone by an error."""
        with self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn the database's errors into ours."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise LibraryError(why_unusable(self.path, str(error))) from None
        except sqlite3.DatabaseError as error:
            raise LibraryDamagedError(
                f"{self.path} is damaged ({error}). Your photos are not touched: "
                "move the library folder away and run `mvmr-zoo index add` again."
            ) from None
        except OSError as error:
            reason = "no space left on the disk" if error.errno == errno.ENOSPC else error.strerror
            raise LibraryError(f"{self.path.parent} cannot be used as a library: {reason}.") from None


_ROWS_A_PART = 4_096
_IDS_A_QUERY = 500
_MOST_ID = 2**63 - 1

_FORGET_MOVED = """
DELETE FROM photos WHERE path = ? AND EXISTS (
    SELECT 1 FROM photos AS other WHERE other.content = photos.content AND other.missing = 0
)
"""

_COLUMNS = "root, path, size, mtime_ns, content, taken, width, height, vector"


def _photo(row: tuple[bytes, bytes, int, int, bytes, str | None, int, int, bytes]) -> PhotoRow:
    root, path, size, mtime_ns, content, taken, width, height, vector = row
    return PhotoRow(
        root=root,
        path=path,
        stamp=Stamp(size, mtime_ns),
        content=content,
        taken=taken,
        width=width,
        height=height,
        vector=np.frombuffer(vector, np.float16),
    )


def below(folder: bytes) -> tuple[bytes, bytes]:
    """The half-open range of paths below a folder: from `folder/` to `folder0`, 0 following / in ASCII."""
    base = folder.rstrip(os.sep.encode())
    return base + b"/", base + b"0"
