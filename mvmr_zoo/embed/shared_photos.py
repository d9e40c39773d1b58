"""Photos that every machine of a cluster can read: what the cluster takes, and what is left to this process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mvmr_zoo.embed.filesystem import Place, is_text, is_uri, open_place
from mvmr_zoo.embed.inputs import Input
from mvmr_zoo.embed.path_sources import folder_source
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.images import MAX_BYTES


@dataclass(frozen=True)
class SharedPhotos:
    """What is embedded.

    Args:
        place: all is below it.
        files: what the cluster reads; None where it has to list the folder itself.
        others: what it cannot read: names that Arrow does not open, files and folders that may not be looked at.
    """

    place: Place
    files: list[str] | None
    others: list[Input]


def shared_photos(source: str) -> SharedPhotos:
    """The photos below a folder, found as the local engine finds them, or of a URI, which is not looked at yet.

    Raises:
        ConfigError: it is a file.
        DataError: the folder cannot be read or holds no photo, or nothing understands the URI.
    """
    place = open_place(source) if is_uri(source) else None
    if place is not None and not place.is_local:
        return SharedPhotos(place, None, [])
    folder = place.path if place else os.path.expanduser(source)
    if not os.path.isdir(folder):
        raise ConfigError(
            f"--engine ray reads a folder, or a URI such as s3://bucket/photos; {source} is no folder. "
            "IvfPq and Parquet files are for --engine local."
        )
    scan = folder_source(folder)
    files: list[str] = []
    others: list[Input] = []
    for each in scan.inputs(0, len(scan.paths)):
        if each.problem is None and _can_be_shared(each.path):
            files.append(each.path)
        else:
            others.append(each)
    return SharedPhotos(Place.local(scan.name), files, others)


def _can_be_shared(path: str) -> bool:
    """Whether Ray can read a file of this machine; one that it cannot read would stop the whole run."""
    try:
        readable = os.access(path, os.R_OK) and Path(path).stat().st_size <= MAX_BYTES
    except OSError:
        return False
    return readable and is_text(path) and not set(path) & set("\t\n\r")  # Ray takes paths for URIs, and drops these
