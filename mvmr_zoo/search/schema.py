"""SQL tables of the library database, and explanations of SQLite errors."""

from __future__ import annotations

from pathlib import Path

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
"""Vectors of another encoder, before they replace those in `photos`. See `reindex`."""


def explain_sqlite_error(path: Path, message: str) -> str:
    """Turn an error message of SQLite into one that says what happened and what to do."""
    if "full" in message or "disk I/O" in message:
        return (
            f"{path} cannot be written ({message}). The disk may be full. "
            "Progress is saved. Free some disk space and run the same command again."
        )
    if "locked" in message:
        return f"{path} is in use by another process. Try again when it has finished."
    if "unable to open" in message or "readonly" in message:
        return (
            f"{path} cannot be opened or written ({message}). Searching needs write access too. "
            "Copy the library folder to a writable place, or use another --library."
        )
    return f"{path} cannot be used: {message}."
