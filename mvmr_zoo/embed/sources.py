"""Which source a command line means."""

from __future__ import annotations

import os
from pathlib import Path

from mvmr_zoo.embed.inputs import Source
from mvmr_zoo.embed.parquet_source import parquet_source
from mvmr_zoo.embed.path_sources import ListSource, folder_source
from mvmr_zoo.errors import DataError

PARQUET = "parquet:"


def open_source(named: str | os.PathLike[str]) -> Source:
    """The source of a folder's photos, of a text file's paths, or of `parquet:FILE[:COLUMN]`.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    name = os.path.expanduser(os.fspath(named))
    if name.startswith(PARQUET) and not os.path.exists(name):
        return parquet_source(name.removeprefix(PARQUET))
    if os.path.isdir(name):
        return folder_source(name)
    if Path(name).is_file():
        return ListSource(os.fspath(Path(name).absolute()))
    what = "is neither a folder nor a file" if os.path.exists(name) else "does not exist, or may not be looked at"
    raise DataError(f"{name} {what}. Give a folder of photos, a text file of one path a line, or parquet:FILE.")
