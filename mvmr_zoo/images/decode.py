"""Opening photos. The only place that decodes image files.

Whatever the file holds, what comes out is an upright RGB image: EXIF orientation applied, any
color mode converted, transparency laid on white, the first frame of an animation.
"""

from __future__ import annotations

import functools
import io
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from mvmr_zoo.errors import ImageError, one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = frozenset(".jpg .jpeg .jpe .jfif .png .webp .bmp .tif .tiff .gif .heic .heif .hif .avif".split())
"""File name endings that a folder scan takes for photos, in lower case."""

MAX_SIDE_PX = 32_768
"""A photo longer than this on either side is refused: it is a mistake or an attack."""

MAX_BYTES = 1 << 30
"""A file larger than this is refused: no photo is."""

_ORIENTATION = ExifTags.Base.Orientation
_DATE = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)")
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "HEIF", "AVIF")


@dataclass(frozen=True)
class Photo:
    """A decoded photo and what its file says of it.

    Args:
        image: upright RGB, perhaps decoded at a reduced size.
        width: of the upright photo at full size, in pixels.
        height: likewise.
        taken: EXIF date as `YYYY-MM-DD HH:MM:SS`, or None.
    """

    image: Image.Image
    width: int
    height: int
    taken: str | None


def read_image(path: str | os.PathLike[str], *, min_px: int | None = None) -> Image.Image:
    """The upright RGB image of `read_photo`."""
    return read_photo(path, min_px=min_px).image


def read_photo(
    path: str | os.PathLike[str],
    *,
    content: bytes | None = None,
    min_px: int | None = None,
    max_pixels: int | None = None,
) -> Photo:
    """The photo as an upright RGB image, with its size and date.

    Args:
        path: a JPEG, PNG, WebP, BMP, TIFF, GIF, HEIC or AVIF file.
        content: the file's bytes, where they were read already; `path` then only names it.
        min_px: let a JPEG be decoded at 1/2, 1/4 or 1/8 of its size as long as its short side
            keeps at least this many pixels. None decodes every pixel.
        max_pixels: refuse a photo of more; None leaves it to Pillow's limit of about 179 million.

    Raises:
        ImageError: missing, a directory, empty, not an image, truncated, or larger than
            `MAX_SIDE_PX` a side, `max_pixels` or Pillow's limit.
    """
    _prepare_pillow()
    name = os.fspath(path)
    if content is None:
        content = file_bytes(path)
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            _check_size(name, image.size, max_pixels)
            width, height = image.size
            exif = _exif(image)
            if min_px is not None:
                _draft(image, min_px)
            upright = to_rgb(_turned(image))
            if exif.get(_ORIENTATION, 1) in (5, 6, 7, 8):
                width, height = height, width
            return Photo(upright, width, height, _taken(exif))
    except ImageError:
        raise
    except Image.DecompressionBombError:
        raise ImageError(name, "open", "over 179 million pixels: refused as a decompression bomb") from None
    except UnidentifiedImageError:
        reason = "not an image in a known format" if content else "the file is empty"
        raise ImageError(name, "open", reason) from None
    except MemoryError:
        raise ImageError(name, "decode", "not enough memory to decode it") from None
    except Exception as error:  # decoders raise whatever they like on damaged files
        raise ImageError(name, "decode", f"damaged or truncated: {one_line(error)}") from None


def file_bytes(path: str | os.PathLike[str]) -> bytes:
    """The content of a photo's file. Raises ImageError where it cannot be read or is larger than `MAX_BYTES`."""
    name = os.fspath(path)
    try:
        size = os.stat(path).st_size
        if size > MAX_BYTES:
            raise ImageError(name, "open", f"{size} bytes: larger than {MAX_BYTES}, refused")
        return Path(path).read_bytes()
    except OSError as error:
        raise ImageError(name, "open", file_reason(error)) from None


def file_reason(error: OSError) -> str:
    """Why a file cannot be opened, in words for a person."""
    match error:
        case FileNotFoundError():
            return "no such file"
        case IsADirectoryError():
            return "is a directory, not a photo"
        case PermissionError():
            return "no permission to read it"
        case _:
            return f"cannot be read: {error.strerror or error}"


def upright_rgb(image: Image.Image, name: str) -> Image.Image:
    """An image that is open already, upright and in mode RGB. Raises ImageError where it is damaged."""
    try:
        return to_rgb(_turned(image))
    except Exception as error:  # decoders raise whatever they like on damaged files
        raise ImageError(name, "decode", f"damaged or truncated: {one_line(error)}") from None


def to_rgb(image: Image.Image) -> Image.Image:
    """The image in mode RGB; transparency is laid on white, deep grays are brought to 8 bits."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        return Image.fromarray(_deep_gray(np.asarray(image, dtype=np.float64))).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _turned(image: Image.Image) -> Image.Image:
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a broken EXIF block must not cost the photo
        return image


def _check_size(name: str, size: tuple[int, int], max_pixels: int | None) -> None:
    width, height = size
    if max_pixels is not None and width * height > max_pixels:
        megapixels = f"{width} x {height} pixels: over {max_pixels / 1e6:.0f} megapixels"
        raise ImageError(name, "open", f"{megapixels}, refused")
    if max(width, height) > MAX_SIDE_PX:
        raise ImageError(name, "open", f"{width} x {height} pixels: longer than {MAX_SIDE_PX} on a side, refused")
    if min(width, height) < 1:
        raise ImageError(name, "open", f"{width} x {height} pixels: empty")


def _draft(image: Image.Image, min_px: int) -> None:
    short = min(image.size)
    if image.format in ("JPEG", "MPO") and short > min_px:
        width, height = image.size
        # Pillow takes the largest of 1/8, 1/4, 1/2 that fits this into the photo: the short side decides
        image.draft(None, (width * min_px // short, height * min_px // short))


def _deep_gray(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """8-bit gray from 32-bit integers or floats: the scale (1, 255, 65535) is the smallest that fits."""
    values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    top = values.max(initial=0.0)
    scale = next((limit for limit in (1.0, 255.0, 65_535.0) if top <= limit), top)
    return (np.clip(values / scale, 0, 1) * 255).astype(np.uint8)


def _exif(image: Image.Image) -> Image.Exif:
    try:
        return image.getexif()
    except Exception:  # a broken EXIF block must not cost the photo
        return Image.Exif()


def _taken(exif: Image.Exif) -> str | None:
    """The date the shutter was released, else the date of the file's last change, as EXIF says."""
    try:
        value = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime)
    except Exception:  # as above
        return None
    found = _DATE.match(value) if isinstance(value, str) else None
    return "{}-{}-{} {}".format(*found.groups()) if found else None


@functools.cache
def _prepare_pillow() -> None:
    """Register HEIC once, and leave size limits to this module instead of Pillow's warning."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
