from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.datasets.samples import photographs
from mvmr_zoo.errors import ImageError
from mvmr_zoo.images import decode as images
from mvmr_zoo.images import read_image, read_photo
from mvmr_zoo.images.decode import MAX_SIDE_PX, to_rgb
from mvmr_zoo.models.loading import load

TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""What a camera held that way stores: the inverse of what the EXIF value asks for."""


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    """A real color photograph, 451 x 300 pixels."""
    (path,) = (path for path in photographs() if path.stem == "chelsea")
    return Image.open(path).convert("RGB")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_every_exif_orientation_gives_the_same_vector(
    orientation: int, suffix: str, photograph: Image.Image, tmp_path: Path, checkpoint: Checkpoint
) -> None:
    stored = photograph.transpose(TURN[orientation]) if orientation > 1 else photograph
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / f"photo{suffix}"
    stored.save(path, exif=exif, lossless=True) if suffix == ".webp" else stored.save(path, exif=exif)
    read = read_photo(path)
    assert (read.width, read.height) == photograph.size == read.image.size
    model = load(checkpoint.folder)
    np.testing.assert_allclose(model.embed([path]), model.embed([photograph]), atol=1e-4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_a_jpeg_decoded_small(orientation: int, photograph: Image.Image, tmp_path: Path) -> None:
    big = photograph.resize((1804, 1200))
    stored = big.transpose(TURN[orientation]) if orientation > 1 else big
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored.save(tmp_path / "photo.jpg", exif=exif, quality=95)
    read = read_photo(tmp_path / "photo.jpg", min_px=150)
    assert (read.width, read.height) == (1804, 1200)
    assert read.image.size == (226, 150)
    small = np.asarray(big.resize(read.image.size), float)
    assert np.abs(np.asarray(read.image, float) - small).mean() < 4


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tif", ".gif", ".heic", ".avif"])
def test_every_format_is_read(suffix: str, photograph: Image.Image, tmp_path: Path) -> None:
    if suffix == ".heic":
        images._prepare_pillow()  # writing one needs its plug-in too
    path = tmp_path / f"photo{suffix}"
    photograph.save(path)
    read = read_image(path)
    assert read.mode == "RGB"
    assert read.size == photograph.size
    assert np.abs(np.asarray(read, float) - np.asarray(photograph, float)).mean() < 10


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16"])
def test_every_mode_becomes_rgb(mode: str, photograph: Image.Image) -> None:
    if mode == "I;16":
        gray = np.asarray(photograph.convert("L")).astype(np.uint16) * 257
        image = Image.fromarray(gray)
        assert image.mode == "I;16"
    elif mode == "LAB":
        from PIL import ImageCms

        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(photograph, srgb, lab, outputMode="LAB")
    else:
        image = photograph.quantize(256) if mode == "P" else photograph.convert(mode)
    got = to_rgb(image)
    assert got.mode == "RGB"
    wanted = photograph if mode in ("RGBA", "CMYK", "YCbCr", "HSV", "P", "LAB") else photograph.convert("L")
    small = (photograph.width // 8, photograph.height // 8)  # black and white is dithered
    pixels = [np.asarray(image.convert("RGB").resize(small, Image.Resampling.BOX), float) for image in (got, wanted)]
    assert np.abs(pixels[0] - pixels[1]).mean() < 12


def test_sixteen_bit_png_keeps_its_picture(photograph: Image.Image, tmp_path: Path) -> None:
    gray = np.asarray(photograph.convert("L"))
    Image.fromarray(gray.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "deep.png"))[..., 0], gray)


def test_transparency_lies_on_white() -> None:
    clear = Image.new("RGBA", (4, 4), (200, 10, 10, 0))
    assert to_rgb(clear).getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (4, 4), 3)
    palette.info["transparency"] = 3
    assert to_rgb(palette).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif"])
def test_an_animation_is_read_at_its_first_frame(suffix: str, tmp_path: Path) -> None:
    red, blue = Image.new("RGB", (20, 20), "#ff0000"), Image.new("RGB", (20, 20), "#0000ff")
    red.save(tmp_path / f"moving{suffix}", save_all=True, append_images=[blue])
    pixel = read_image(tmp_path / f"moving{suffix}").getpixel((10, 10))
    assert np.abs(np.subtract(pixel, (255, 0, 0))).max() < 8


def test_exif_date(photograph: Image.Image, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2021:07:05 12:13:14"
    photograph.save(tmp_path / "dated.jpg", exif=exif)
    assert read_photo(tmp_path / "dated.jpg").taken == "2021-07-05 12:13:14"
    photograph.save(tmp_path / "undated.jpg")
    assert read_photo(tmp_path / "undated.jpg").taken is None


def test_heic_is_read_in_a_fresh_process(photograph: Image.Image, tmp_path: Path) -> None:
    images._prepare_pillow()
    photograph.save(tmp_path / "phone.heic")
    code = "import sys; from mvmr_zoo.images import read_image; print(read_image(sys.argv[1]).size)"
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "phone.heic"], capture_output=True, text=True)
    assert done.stdout.strip() == str(photograph.size), done.stderr


def truncated(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:5000])


def wide(path: Path) -> None:
    Image.new("L", (60_000, 3)).save(path)


def bomb(path: Path) -> None:
    Image.new("1", (15_000, 15_000)).save(path)


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("cut.jpg", truncated, "truncated"),
        ("cut.png", truncated, "truncated"),
        ("empty.jpg", lambda path: path.write_bytes(b""), "empty"),
        ("folder.jpg", lambda path: path.mkdir(), "is a folder"),
        ("text.jpg", lambda path: path.write_text("not a photo"), "not an image"),
        ("wide.png", wide, f"limit of {MAX_SIDE_PX:,} pixels per side"),
        ("bomb.png", bomb, "limit of 179 megapixels"),
        ("missing.jpg", lambda path: None, "no such file"),
    ],
)
def test_bad_files_are_refused_with_a_reason(name: str, make, reason: str, tmp_path: Path) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert reason in caught.value.reason
    assert os.fspath(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_limit_of_pixels(tmp_path: Path) -> None:
    Image.new("L", (30, 20)).save(tmp_path / "a.png")
    assert read_photo(tmp_path / "a.png", max_pixels=600).width == 30
    with pytest.raises(ImageError, match=r"30 x 20 pixels exceeds the limit of 0 megapixels"):
        read_photo(tmp_path / "a.png", max_pixels=599)


def test_a_jpeg_with_too_many_scans(tmp_path: Path) -> None:
    """A file of 1 MB with 2,600 scans took ten minutes."""
    buffer = io.BytesIO()
    Image.effect_noise((1_600, 1_600), 60).save(buffer, "JPEG", progressive=True, quality=30)
    photo = buffer.getvalue()
    last = photo.rindex(b"\xff\xda")
    (tmp_path / "usual.jpg").write_bytes(photo)
    (tmp_path / "bomb.jpg").write_bytes(photo[:last] + photo[last:-2] * 400 + photo[-2:])
    (tmp_path / "motion photo.jpg").write_bytes(photo + b"\xff\xda video" * 500)
    for name in ("usual.jpg", "motion photo.jpg"):
        assert read_image(tmp_path / name).size == (1_600, 1_600)
    with pytest.raises(ImageError, match=r"a JPEG of 1600 x 1600 pixels with 40\d scans, too slow"):
        read_image(tmp_path / "bomb.jpg", min_px=64)


def test_damaged_exif_data_warns_nobody(photograph: Image.Image, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2021:07:05 12:13:14"
    photograph.save(tmp_path / "photo.jpg", exif=exif)
    photo = (tmp_path / "photo.jpg").read_bytes()
    place = photo.index(b"\x90\x03\x00\x02") + 4  # the length of the date
    (tmp_path / "photo.jpg").write_bytes(photo[:place] + b"\xff" + photo[place + 1 :])
    code = "import sys; from mvmr_zoo.images import read_image; print(read_image(sys.argv[1]).size)"
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "photo.jpg"], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == (str(photograph.size), "")
