"""Split photos into those that the cluster reads and those that only this process can read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mvmr_zoo.embed.filesystem import Place, is_text, is_uri, open_place
from mvmr_zoo.embed.path_sources import folder_source
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.images import MAX_BYTES, PhotoFile


@dataclass(frozen=True)
class SharedPhotos:
    """The photos to embed.

    Args:
        place: Folder that holds all photos.
        files: Photos that the cluster reads; None if the cluster lists the folder itself.
        others: Photos that the cluster cannot read: names that Arrow cannot open, unreadable files and folders.
    """

    place: Place
    files: list[str] | None
    others: list[PhotoFile]


def shared_photos(source: str) -> SharedPhotos:
    """The photos below a folder, found by the same scan as in the local engine. The folder of a URI is not listed yet.

    Raises:
        ConfigError: The source is not a folder.
        DataError: The folder cannot be read or holds no photo, or the URI is not supported.
    """
    place = open_place(source) if is_uri(source) else None
    if place is not None and not place.is_local:
        return SharedPhotos(place, None, [])
    folder = place.path if place else os.path.expanduser(source)
    if not os.path.isdir(folder):
        raise ConfigError(
            f"--engine ray reads a folder, or a URI such as s3://bucket/photos; {source} is not a folder. "
            "Use --engine local for lists and Parquet files."
        )
    scan = folder_source(folder)
    files: list[str] = []
    others: list[PhotoFile] = []
    for photo in scan.inputs(0, len(scan.paths)):
        if photo.problem is None and _can_be_shared(photo.path):
            files.append(photo.path)
        else:
            others.append(photo)
    return SharedPhotos(Place.local(scan.name), files, others)


def _can_be_shared(path: str) -> bool:
    """Whether Ray can read a file of this machine. A file that it cannot read stops the whole run."""
    try:
        readable = os.access(path, os.R_OK) and Path(path).stat().st_size <= MAX_BYTES
    except OSError:
        return False
    return readable and is_text(path) and not set(path) & set("\t\n\r")  # Ray parses paths as URIs, and drops these
