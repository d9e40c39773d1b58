from __future__ import annotations

from pathlib import Path

from demo.services import open_services
from mvmr_zoo import PhotoLibrary

from ..conftest import write_photos


def test_map_is_cached_until_photos_change(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 6)
    services = open_services(tmp_path / "library", uploads=tmp_path, photos=photos)
    try:
        assert services.indexing is not None
        services.indexing.wait()
        first = services.photo_map("pca", "folder")
        assert services.photo_map("pca", "folder") is first
        assert services.photo_map("pca", "cluster") is not first
        write_photos(photos / "more", 8)
        with PhotoLibrary(tmp_path / "library") as library:
            library.add([photos])
        assert len(services.photo_map("pca", "folder").ids) == 14
    finally:
        services.close()


def test_close_stops_indexing_and_keeps_indexed_photos(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 200)
    services = open_services(tmp_path / "library", uploads=tmp_path, photos=photos)
    assert services.indexing is not None
    services.close()
    assert services.indexing.progress.phase == "stopped"
    with PhotoLibrary(tmp_path / "library") as library:
        assert library.status().photos < 200


def test_thumbnails_of_removed_photos_are_deleted(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 6)
    services = open_services(tmp_path / "library", uploads=tmp_path, photos=photos)
    try:
        assert services.indexing is not None
        services.indexing.wait()
        services.searcher.examples(6)
        with PhotoLibrary(tmp_path / "library") as library:
            library.remove([photos / "a"])
        services.indexing.start(str(photos / "b"))
        services.indexing.wait()
        assert len(list(services.searcher.thumbnails.folder.glob("*-320.jpg"))) == 3
    finally:
        services.close()


def test_public_page_has_no_indexing_and_thumbnails_outside_the_library(tmp_path: Path) -> None:
    services = open_services(tmp_path / "library", uploads=tmp_path / "uploads", public=True)
    try:
        assert services.indexing is None
        assert services.searcher.thumbnails.folder == tmp_path / "thumbnails"
    finally:
        services.close()
