"""Fixtures: an album of real photos, its library, and the page in a subprocess."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo.thumbnails import Thumbnails
from mvmr_zoo import PhotoLibrary
from mvmr_zoo.datasets.samples import make_view, photographs
from mvmr_zoo.images import read_image

from ..conftest import made_once
from ..environment import clean_environment
from ..forked import PAGE, Forked

HTML_NAME = '<img src=x onerror="window.ran=1">.jpg'
PLACE_NAME = "Secretville"
TAKEN = "2024:05:17 10:20:30"

_VIEWS = 4
_LONG_PX = 400


@dataclass(frozen=True)
class Album:
    """A folder of photos and its library.

    Args:
        photos: Four views of each of 20 photographs, named `NAME--V.jpg`; an identical and a smaller copy of the first
            one; and a photo with a position and a date in its EXIF data.
        queries: One more view of each photograph.
        library: Library of `photos`.
    """

    photos: Path
    queries: Path
    library: Path


@dataclass(frozen=True)
class Server:
    """A running page server."""

    address: str
    album: Album
    process: Forked


@pytest.fixture(scope="session")
def album(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Album:
    """Album with thumbnails. Tests must not modify it. All processes of a run share the photos."""
    root = run_folder / "album"
    with made_once(root) as first:
        if first:
            made = make_album(root)
            with PhotoLibrary(made.library) as library:
                thumbnails = Thumbnails(made.library / "thumbnails")
                thumbnails.of(list(library.photos(library.ids()).values()))
                thumbnails.close()
    return with_own_library(_album_in(root), tmp_path_factory.mktemp("album"))


def with_own_library(album: Album, folder: Path) -> Album:
    """The same photos, and a copy of their library."""
    return replace(album, library=Path(shutil.copytree(album.library, folder / "library")))


def _album_in(folder: Path) -> Album:
    return Album(folder / "photos", folder / "queries", folder / "library")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, album: Album) -> Iterator[Server]:
    """Server of the album, for tests that do not modify it."""
    home = tmp_path_factory.mktemp("home")
    with running(home, album.library) as (address, process):
        yield Server(address, album, process)


@contextmanager
def running(home: Path, *words: object, **variables: str) -> Iterator[tuple[str, Forked]]:
    """Run `python -m demo` in a subprocess, and yield its URL and process when it is ready."""
    port = free_port()
    command = ["-m", "demo", *map(str, words), "--port", str(port)]
    environment = clean_environment(home, PYTHONUNBUFFERED="1", TMPDIR=str(home), **variables)
    read, write = os.pipe()
    with (home / "page.log").open("w+") as log, os.fdopen(read) as said:
        with os.fdopen(write) as output:
            process = Forked(command, environment, PAGE, stdout=output, stderr=log)
        try:
            line = said.readline()
            log.seek(0)
            assert line.startswith("Open http"), line + log.read()
            yield line.split()[1], process
        finally:
            process.terminate()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def make_album(folder: Path) -> Album:
    album = _album_in(folder)
    album.photos.mkdir(parents=True)
    album.queries.mkdir()
    for number, path in enumerate(photographs()):
        photograph = read_image(path)
        for view in range(_VIEWS + 1):
            image = make_view(photograph, np.random.default_rng((number, view)))
            image.thumbnail((_LONG_PX, _LONG_PX))
            folder = album.photos if view < _VIEWS else album.queries
            image.save(folder / f"{path.stem}--{view}.jpg", quality=90)
    first = read_image(album.photos / "astronaut--0.jpg")
    first.resize((first.width * 3 // 4, first.height * 3 // 4)).save(album.photos / "smaller.jpg", quality=85)
    (album.photos / "again.jpg").write_bytes((album.photos / "astronaut--0.jpg").read_bytes())
    save_with_place(read_image(photographs()[0]).crop((0, 0, 300, 200)), album.photos / "abroad.jpg")
    with PhotoLibrary(album.library) as library:
        library.add([album.photos])
    return album


def save_with_place(image: Image.Image, path: Path) -> None:
    """Save a JPEG with position, date and description in its EXIF data."""
    exif = Image.Exif()
    exif[0x010E] = f"{PLACE_NAME} <script>window.ran=1</script>"
    exif.get_ifd(0x8769)[0x9003] = TAKEN
    exif.get_ifd(0x8825).update({1: "N", 2: (46.0, 12.0, 0.0), 3: "E", 4: (6.0, 9.0, 0.0)})
    image.save(path, exif=exif, comment=PLACE_NAME.encode())
