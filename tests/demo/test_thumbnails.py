from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from demo.thumbnails import LARGE_PX, THUMBNAIL_PX, Thumbnails, save_small
from mvmr_zoo import PhotoLibrary
from mvmr_zoo.images import read_image
from mvmr_zoo.search import PhotoRow

from .conftest import PLACE_NAME, Album, save_with_place


@pytest.fixture
def rows(album: Album) -> list[PhotoRow]:
    with PhotoLibrary(album.library) as library:
        return list(library.photos(library.ids()).values())


def test_thumbnails_are_small_and_cached(rows: list[PhotoRow], tmp_path: Path) -> None:
    thumbnails = Thumbnails(tmp_path / "t")
    files = thumbnails.of(rows)
    for row, file in zip(rows, files, strict=True):
        with Image.open(file) as image:
            assert max(image.size) == THUMBNAIL_PX or image.size == (row.width, row.height)
            assert image.width / image.height == pytest.approx(row.width / row.height, rel=0.02)
    before = {file: file.stat().st_mtime_ns for file in files}
    assert thumbnails.of(rows) == files
    assert {file: file.stat().st_mtime_ns for file in files} == before
    assert len(set(files)) in (len(rows), len(rows) - 1)  # identical files with equal mtimes share a thumbnail


def test_large_copy_is_a_separate_file(rows: list[PhotoRow], tmp_path: Path) -> None:
    thumbnails = Thumbnails(tmp_path / "t")
    small, large = thumbnails.of(rows[:1])[0], thumbnails.of(rows[:1], LARGE_PX)[0]
    assert small != large
    with Image.open(large) as image:
        assert image.size == (rows[0].width, rows[0].height)


def test_changed_photo_gets_a_new_thumbnail(tmp_path: Path) -> None:
    photo = tmp_path / "photos" / "a.png"
    photo.parent.mkdir()
    Image.new("RGB", (50, 40), "red").save(photo)
    with PhotoLibrary(tmp_path / "library") as library:
        library.add([photo.parent])
        rows = list(library.photos(library.ids()).values())
    thumbnails = Thumbnails(tmp_path / "t")
    before = thumbnails.of(rows)[0]
    Image.new("RGB", (50, 40), "blue").save(photo)
    os.utime(photo, ns=(1, 1))
    after = thumbnails.of(rows)[0]
    assert [np.asarray(read_image(each))[0, 0].argmax() for each in (before, after)] == [0, 2]
    photo.unlink()
    assert thumbnails.of(rows)[0].name == "missing.jpg"
    photo.write_bytes(b"no photo")
    assert thumbnails.of(rows)[0].name == "missing.jpg"


def test_thumbnails_of_other_photos_are_deleted(rows: list[PhotoRow], tmp_path: Path) -> None:
    thumbnails = Thumbnails(tmp_path / "t")
    kept = thumbnails.of(rows[:3]) + thumbnails.of(rows[:3], LARGE_PX)
    gone = thumbnails.of(rows[3:6])
    thumbnails.delete_all_except(rows[:3])
    assert all(file.exists() for file in kept)
    assert not any(file.exists() for file in gone)


def test_metadata_is_removed(tmp_path: Path) -> None:
    save_with_place(Image.radial_gradient("L").convert("RGB"), tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        save_small(image, tmp_path / "small.jpg", 100)
    assert PLACE_NAME.encode() in (tmp_path / "a.jpg").read_bytes()
    assert PLACE_NAME.encode() not in (tmp_path / "small.jpg").read_bytes()
    with Image.open(tmp_path / "small.jpg") as small:
        assert not small.getexif()
        assert small.size == (100, 100)


def test_colors_are_converted_to_srgb_and_the_profile_is_dropped(tmp_path: Path) -> None:
    wide = wide_profile()
    colors = {}
    for name, profile in {
        "none": b"",
        "wide": wide,
        "cmyk": wide[:16] + b"CMYK" + wide[20:],
        "damaged": wide[:300],
    }.items():
        image = Image.new("RGB", (20, 20), (60, 160, 90))
        image.info["icc_profile"] = profile
        save_small(image, tmp_path / f"{name}.jpg", 20)
        with Image.open(tmp_path / f"{name}.jpg") as saved:
            assert "icc_profile" not in saved.info
            colors[name] = np.asarray(saved, int)[10, 10]
    assert np.abs(colors["wide"] - colors["none"]).max() > 20
    for unusable in ("cmyk", "damaged"):
        np.testing.assert_allclose(colors[unusable], colors["none"], atol=2)


def test_large_color_profile_is_not_kept(tmp_path: Path) -> None:
    profile = wide_profile()
    image = Image.new("RGB", (20, 20), "green")
    image.info["icc_profile"] = profile + bytes(40_000_000)
    save_small(image, tmp_path / "a.jpg", 20)
    assert (tmp_path / "a.jpg").stat().st_size < 2_000


def wide_profile() -> bytes:
    """The sRGB profile with a linear tone curve, so that colors change visibly."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(profile[128:132], "big")
    for entry in range(count):
        at = 132 + 12 * entry
        if profile[at : at + 4] in (b"rTRC", b"gTRC", b"bTRC"):
            offset = int.from_bytes(profile[at + 4 : at + 8], "big")
            profile[offset : offset + 12] = b"curv" + bytes(8)  # no entries: the identity
            profile[at + 8 : at + 12] = (12).to_bytes(4, "big")
    return bytes(profile)


def test_failed_write_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot write mode"):
        save_small(Image.new("RGBA", (10, 10)), tmp_path / "a.jpg", 10)
    assert list(tmp_path.iterdir()) == []


def test_slow_thumbnails_are_created_in_the_background(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(6):
        Image.effect_noise((3_000, 2_000), 80 + number).save(tmp_path / "photos" / f"{number}.png")
    with PhotoLibrary(tmp_path / "library") as library:
        library.add([tmp_path / "photos"])
        rows = list(library.photos(library.ids()).values())
    thumbnails = Thumbnails(tmp_path / "t")
    immediate = thumbnails.of(rows, timeout_s=0)
    assert thumbnails.placeholder in immediate
    assert thumbnails.placeholder.is_file()
    complete = thumbnails.of(rows)
    assert thumbnails.placeholder not in complete
    assert thumbnails.of(rows, timeout_s=60) == complete
