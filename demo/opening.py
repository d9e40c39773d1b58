"""Which library the page shows; the sample photos, so that there always are some."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from mvmr_zoo import PhotoLibrary
from mvmr_zoo.datasets import make_samples
from mvmr_zoo.errors import DataError
from mvmr_zoo.search import default_library_path

_DATABASE = "library.sqlite"


class Opened(NamedTuple):
    """A library to show, and a folder to take in first, if one was named."""

    library: Path
    photos: Path | None = None


def open_place(place: Path | None, library: Path | None) -> Opened:
    """What somebody means who names a library, a folder of photos, or nothing.

    Args:
        place: a library is shown; a folder of photos is taken into the library below. None is the library below if it
            has photos, else the samples.
        library: folder of the library; None is `default_library_path()`.

    Raises:
        DataError: `place` is not a folder.
    """
    own = library if library is not None else default_library_path()
    if place is None:
        return Opened(own if library is not None or has_photos(own) else sample_library())
    if not place.is_dir():
        raise DataError(f"{place} is not a folder. Give a library, or a folder of photos.")
    return Opened(place) if (place / _DATABASE).exists() else Opened(own, place.absolute())


def has_photos(library: Path) -> bool:
    """Whether there is a library in a folder, and a photo in it."""
    if not os.path.exists(library / _DATABASE):
        return False
    with PhotoLibrary(library) as found:
        return found.status().photos > 0


def sample_library() -> Path:
    """The library of the quickstart's sample photos, made the first time: two seconds.

    Raises:
        MissingDependencyError: the libraries that carry the photographs are not installed.
    """
    home = default_library_path().with_name("samples")
    library = home / "library"
    if not has_photos(library):
        samples = make_samples(home / "photos")
        with PhotoLibrary(library) as made:
            made.add([samples.library])
    return library
