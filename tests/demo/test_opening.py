from __future__ import annotations

from pathlib import Path

import pytest

from demo.opening import Opened, has_photos, open_place, sample_library
from mvmr_zoo import PhotoLibrary
from mvmr_zoo.errors import DataError

from ..conftest import write_photos
from .conftest import Album


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MVMR_LIBRARY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_newcomer_gets_the_samples_and_keeps_them(home: Path) -> None:
    opened = open_place(None, None)
    assert opened == Opened(home / ".local/share/mvmr_zoo/samples/library")
    with PhotoLibrary(opened.library) as library:
        assert library.status().photos == 160
    before = (opened.library / "library.sqlite").stat().st_mtime_ns
    assert sample_library() == opened.library
    assert (opened.library / "library.sqlite").stat().st_mtime_ns == before


def test_a_library_of_ones_own_comes_before_the_samples(home: Path) -> None:
    own = home / ".local/share/mvmr_zoo/library"
    with PhotoLibrary(own) as library:
        assert not has_photos(own)
        library.add([write_photos(home / "photos", 3)])
    assert has_photos(own)
    assert open_place(None, None) == Opened(own)


def test_a_named_library_is_opened_even_if_empty(home: Path) -> None:
    assert open_place(None, home / "new") == Opened(home / "new")


def test_a_place_is_a_library_or_a_folder_of_photos(home: Path, album: Album, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_place(album.library, None) == Opened(album.library)
    assert open_place(album.photos, home / "own") == Opened(home / "own", album.photos)
    monkeypatch.chdir(album.photos.parent)
    assert open_place(Path("photos"), None) == Opened(home / ".local/share/mvmr_zoo/library", album.photos)


def test_a_place_that_is_none(home: Path) -> None:
    (home / "file").touch()
    for place in (home / "file", home / "nowhere"):
        with pytest.raises(DataError, match=r"is not a folder\. Give a library, or a folder of photos\."):
            open_place(place, None)
