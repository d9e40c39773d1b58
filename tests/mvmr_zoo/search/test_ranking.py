"""Searching a photo library."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mvmr_zoo.errors import LibraryError
from mvmr_zoo.search import PhotoLibrary


def test_a_photo_finds_its_own_altered_copy_first(library: PhotoLibrary, photo_folder: Path, tmp_path: Path) -> None:
    report = library.add([photo_folder])
    assert (report.found, report.added, report.total, report.failures) == (12, 12, 12, [])
    original = photo_folder / "a" / "04.jpg"
    Image.open(original).save(tmp_path / "copy.jpg", quality=70)
    hits = library.search(tmp_path / "copy.jpg", k=5)
    assert len(hits) == 5
    assert hits[0].path == original
    assert hits[0].score > 0.99
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_search_is_exact_and_leaves_the_query_out(library: PhotoLibrary, photo_folder: Path) -> None:
    library.add([photo_folder])
    paths = sorted(photo_folder.rglob("*.jpg"))
    vectors = library.model.embed(paths)
    hits = library.search(paths[3], k=50)
    expected = [paths[i] for i in np.argsort(-(vectors @ vectors[3])) if i != 3]
    assert [hit.path for hit in hits] == expected
    np.testing.assert_allclose(hits[0].score, np.sort(vectors @ vectors[3])[-2], atol=2e-3)


def test_a_query_reached_by_a_link_is_left_out(library: PhotoLibrary, photo_folder: Path, tmp_path: Path) -> None:
    library.add([photo_folder])
    (tmp_path / "link.jpg").symlink_to(photo_folder / "a" / "00.jpg")
    assert photo_folder / "a" / "00.jpg" not in {hit.path for hit in library.search(tmp_path / "link.jpg", 20)}


def test_a_deleted_photo_leaves_the_results_even_before_the_next_add(library: PhotoLibrary, photo_folder: Path) -> None:
    library.add([photo_folder])
    query = photo_folder / "a" / "00.jpg"
    first = library.search(query, 1)[0].path
    first.unlink()
    hits = library.search(query, 3)
    assert len(hits) == 3
    assert first not in {hit.path for hit in hits}


def test_a_photo_that_is_damaged_later_leaves_the_results(library: PhotoLibrary, photo_folder: Path) -> None:
    library.add([photo_folder])
    (photo_folder / "a" / "00.jpg").write_text("no photo any more")
    report = library.add([photo_folder])
    assert (report.total, len(report.failures)) == (11, 1)
    assert photo_folder / "a" / "00.jpg" not in {hit.path for hit in library.search(photo_folder / "b" / "01.jpg", 20)}


def test_search_without_photos_or_library(library: PhotoLibrary, photo_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="contains no photos"):
        library.search(photo_folder / "a" / "00.jpg")
    with pytest.raises(LibraryError, match="no library"):
        PhotoLibrary(tmp_path / "nowhere", create=False)
    assert not (tmp_path / "nowhere").exists()


def test_what_is_remembered_of_photos(library: PhotoLibrary, photo_folder: Path) -> None:
    library.add([photo_folder])
    photos = library.photos(library.ids())
    assert sorted(os.fsdecode(photo.path) for photo in photos.values()) == sorted(map(str, photo_folder.rglob("*.jpg")))
    some = [*photos][3:0:-1]
    assert list(library.photos([*some, 10**30, 0])) == some
    assert library.folders() == {photo_folder / "a": 6, photo_folder / "b": 6}


def test_photos_of_the_same_bytes(library: PhotoLibrary, photo_folder: Path) -> None:
    content = (photo_folder / "a" / "00.jpg").read_bytes()
    (photo_folder / "copy.jpg").write_bytes(content)
    library.add([photo_folder])
    names = {os.fsdecode(library.photos([id_])[id_].path) for id_ in library.same_as(content)}
    assert names == {str(photo_folder / "a" / "00.jpg"), str(photo_folder / "copy.jpg")}
    assert library.same_as(content[:-1]) == []
    (photo_folder / "copy.jpg").unlink()
    library.add([photo_folder])
    assert library.folders() == {photo_folder / "a": 6, photo_folder / "b": 6}
    assert len(library.same_as(content)) == 1
