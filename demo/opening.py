"""Select the library to open, and create the sample library."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from mvmr_zoo import PhotoLibrary
from mvmr_zoo.datasets import make_samples
from mvmr_zoo.errors import DataError
from mvmr_zoo.search import default_library_path

_DATABASE = "library.sqlite"


class OpenedLibrary(NamedTuple):
    """A library to open, and a folder to index into it if one was given."""

    library: Path
    photos: Path | None = None


def resolve_library(place: Path | None, library: Path | None) -> OpenedLibrary:
    """Select the library for the arguments of the command line.

    Args:
        place: Library to open, or a folder of photos to index into `library`. None opens `library` if it has photos or
            was given, else the sample library.
        library: Library folder; None is `default_library_path()`.

    Raises:
        DataError: `place` is not a folder.
    """
    own = library if library is not None else default_library_path()
    if place is None:
        return OpenedLibrary(own if library is not None or has_photos(own) else sample_library())
    if not place.is_dir():
        raise DataError(f"{place} is not a folder. Pass a library or a folder of photos.")
    return OpenedLibrary(place) if (place / _DATABASE).exists() else OpenedLibrary(own, place.absolute())


def has_photos(library: Path) -> bool:
    """Return whether a folder contains a library with at least one photo."""
    if not os.path.exists(library / _DATABASE):
        return False
    with PhotoLibrary(library) as opened:
        return opened.status().photos > 0


def sample_library() -> Path:
    """Return the library of the quickstart's sample photos. The first call creates it, which takes two seconds.

    Raises:
        MissingDependencyError: The libraries that provide the photographs are not installed.
    """
    folder = default_library_path().with_name("samples")
    library = folder / "library"
    if not has_photos(library):
        samples = make_samples(folder / "photos")
        with PhotoLibrary(library) as created:
            created.add([samples.library])
    return library
