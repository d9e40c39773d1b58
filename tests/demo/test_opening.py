from __future__ import annotations

from pathlib import Path

import pytest

from demo.opening import OpenedLibrary, has_photos, resolve_library, sample_library
from mvmr_zoo import PhotoLibrary
from mvmr_zoo.errors import DataError

from ..conftest import write_photos
from .conftest import Album


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MVMR_LIBRARY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_sample_library_is_created_once(home: Path) -> None:
    opened = resolve_library(None, None)
    assert opened == OpenedLibrary(home / ".local/share/mvmr_zoo/samples/library")
    with PhotoLibrary(opened.library) as library:
        assert library.status().photos == 160
    before = (opened.library / "library.sqlite").stat().st_mtime_ns
    assert sample_library() == opened.library
    assert (opened.library / "library.sqlite").stat().st_mtime_ns == before


def test_own_library_is_preferred_to_the_samples(home: Path) -> None:
    own = home / ".local/share/mvmr_zoo/library"
    with PhotoLibrary(own) as library:
        assert not has_photos(own)
        library.add([write_photos(home / "photos", 3)])
    assert has_photos(own)
    assert resolve_library(None, None) == OpenedLibrary(own)


def test_given_library_is_opened_even_if_empty(home: Path) -> None:
    assert resolve_library(None, home / "new") == OpenedLibrary(home / "new")


def test_place_is_a_library_or_a_folder_of_photos(home: Path, album: Album, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_library(album.library, None) == OpenedLibrary(album.library)
    assert resolve_library(album.photos, home / "own") == OpenedLibrary(home / "own", album.photos)
    monkeypatch.chdir(album.photos.parent)
    assert resolve_library(Path("photos"), None) == OpenedLibrary(home / ".local/share/mvmr_zoo/library", album.photos)


def test_invalid_place_is_rejected(home: Path) -> None:
    (home / "file").touch()
    for place in (home / "file", home / "nowhere"):
        with pytest.raises(DataError, match=r"is not a folder\. Pass a library or a folder of photos\."):
            resolve_library(place, None)
