"""The tables of `library.sqlite`, and what its errors mean."""

from __future__ import annotations

from pathlib import Path

DATABASE_FILE = "library.sqlite"
SCHEMA_VERSION = 2

FACTS = "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)"

PHOTOS = """
CREATE TABLE IF NOT EXISTS photos (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    root BLOB NOT NULL,
    path BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    content BLOB NOT NULL,
    taken TEXT,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    vector BLOB NOT NULL,
    missing INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS photos_content ON photos (content);
CREATE INDEX IF NOT EXISTS photos_size ON photos (size);
CREATE INDEX IF NOT EXISTS photos_missing ON photos (missing) WHERE missing = 1;
CREATE TABLE IF NOT EXISTS failures (
    path BLOB PRIMARY KEY,
    stage TEXT NOT NULL,
    reason TEXT NOT NULL
);
"""

REINDEXED = """
CREATE TABLE IF NOT EXISTS reindexed (
    path BLOB PRIMARY KEY,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    content BLOB NOT NULL,
    taken TEXT,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    vector BLOB NOT NULL
)
"""
"""Vectors of another encoder, until they take the place of those in `photos`; see `library.reindex`."""


def why_unusable(path: Path, message: str) -> str:
    """What SQLite's message about a database means for its user, and what to do."""
    if "full" in message or "disk I/O" in message:
        return (
            f"{path} cannot be written ({message}): the disk may be full. "
            "What was committed is kept; make room and run the same command again."
        )
    if "locked" in message:
        return f"{path} is in use by another command. Try again when it has finished."
    if "unable to open" in message or "readonly" in message:
        return (
            f"{path} cannot be opened or written ({message}). A library is written even when it is searched: "
            "copy its folder to where you may write, or give another --library."
        )
    return f"{path} cannot be used: {message}."
