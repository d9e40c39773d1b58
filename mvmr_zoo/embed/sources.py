"""Open the source that a command line names."""

from __future__ import annotations

import os
from pathlib import Path

from mvmr_zoo.embed.inputs import Source
from mvmr_zoo.embed.parquet_source import parquet_source
from mvmr_zoo.embed.path_sources import ListSource, folder_source
from mvmr_zoo.errors import DataError

PARQUET = "parquet:"


def open_source(named: str | os.PathLike[str]) -> Source:
    """Open a folder of photos, a text file of paths, or `parquet:FILE[:COLUMN]`.

    Raises:
        DataError: The source does not exist or cannot be read.
    """
    name = os.path.expanduser(os.fspath(named))
    if name.startswith(PARQUET) and not os.path.exists(name):
        return parquet_source(name.removeprefix(PARQUET))
    if os.path.isdir(name):
        return folder_source(name)
    if Path(name).is_file():
        return ListSource(os.fspath(Path(name).absolute()))
    what = "is neither a folder nor a file" if os.path.exists(name) else "does not exist, or cannot be accessed"
    raise DataError(f"{name} {what}. Use a folder of photos, a text file with one path per line, or parquet:FILE.")
