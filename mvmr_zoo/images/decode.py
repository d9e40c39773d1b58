"""Decode image files in this process. `read.py` decides which photos are decoded in a worker process instead.

The result is always an upright RGB image: EXIF orientation is applied, color modes are converted, transparency is
composited on white, and only the first frame of an animation is read.
"""

from __future__ import annotations

import functools
import io
import os
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from mvmr_zoo._io import open_regular
from mvmr_zoo.errors import ImageError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SUFFIXES = frozenset(".jpg .jpeg .jpe .jfif .png .webp .bmp .tif .tiff .gif .heic .heif .hif .avif".split())
"""File name suffixes of photos, in lower case."""

MAX_SIDE_PX = 32_768
"""Maximum side of a photo in pixels. Larger images are errors or attacks."""

MAX_BYTES = 1 << 30
"""Maximum size of a photo file in bytes."""

_USUAL_SCANS = 16
"""A progressive JPEG has about ten scans."""

_MAX_SCANNED_PIXELS = 1_000_000_000
"""Pixels that the scans of a JPEG with more scans may have together. Each scan is decoded over the whole image."""

_DECODED_BYTES = 12
"""Bytes per pixel while decoding: the decoder's output, Pillow's image, and a turned or converted copy, four each."""

_COEFFICIENT_BYTES = 6
"""A progressive JPEG is decoded at full size first: three channels of two bytes."""

_NO_DECODER = "could not create decoder object"
"""Pillow's error for a WebP whose decoder could not allocate its memory, and for some damaged ones."""

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""Two bytes that do not occur in the compressed data of a JPEG, where 0xFF is followed by 0 or is a restart marker."""

_ORIENTATION = ExifTags.Base.Orientation
_DATE = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)")
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "HEIF", "AVIF")


@dataclass(frozen=True)
class Photo:
    """A decoded photo with its size and date.

    Args:
        image: Upright RGB, perhaps decoded at a reduced size.
        width: Width of the upright photo at full size, in pixels.
        height: Height of the upright photo at full size, in pixels.
        taken: EXIF date as `YYYY-MM-DD HH:MM:SS`, or None.
    """

    image: Image.Image
    width: int
    height: int
    taken: str | None


class DecodingCost(NamedTuple):
    """What decoding a photo needs, according to its header.

    Args:
        format: Pillow's name of the format.
        memory_bytes: Estimated peak memory.
        scans: Number of scans if it is a JPEG with more than a usual one has, else 0.
    """

    format: str
    memory_bytes: int
    scans: int


def decode_photo(
    name: str,
    content: bytes,
    *,
    min_px: int | None = None,
    max_pixels: int | None = None,
    admit: Callable[[DecodingCost], bool] | None = None,
) -> Photo | None:
    """Decode a photo in this process.

    Args:
        name: Name for messages.
        content: Bytes of a JPEG, PNG, WebP, BMP, TIFF, GIF, HEIC or AVIF file.
        min_px: Decode a JPEG at 1/2, 1/4 or 1/8 of its size if its short side keeps at least this many pixels. None
            decodes every pixel.
        max_pixels: Maximum number of pixels. None uses Pillow's limit of about 179 million.
        admit: Called with the cost after the header is read. If it returns false, the photo is not decoded.

    Returns:
        The photo; None if `admit` returned false.

    Raises:
        ImageError: The file is empty, not an image or truncated, or exceeds `MAX_SIDE_PX`, `max_pixels` or Pillow's
            limit, or is a JPEG whose many scans would take minutes to decode.
        MemoryError: There is not enough memory. Its message is the beginning of a reason.
    """
    _prepare_pillow()
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            _check_size(name, image.size, max_pixels)
            scans = _unusual_scans(name, image.size, content) if image.format in ("JPEG", "MPO") else 0
            width, height = image.size
            exif = _exif(image)
            if min_px is not None:
                _draft(image, min_px)
            if admit is not None and not admit(_cost(image, width * height, scans)):
                return None
            upright = to_rgb(_turned(image))
            if exif.get(_ORIENTATION, 1) in (5, 6, 7, 8):
                width, height = height, width
            return Photo(upright, width, height, _taken(exif))
    except (ImageError, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise ImageError(name, "open", "exceeds the limit of 179 megapixels") from None
    except UnidentifiedImageError:
        reason = "not an image in a known format" if content else "the file is empty"
        raise ImageError(name, "open", reason) from None
    except Exception as error:  # decoders raise any exception on damaged files
        if str(error) == _NO_DECODER:
            raise MemoryError("damaged, or ") from None
        raise ImageError(name, "decode", f"damaged or truncated: {one_line(error)}") from None


def file_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read the bytes of a photo file. Raises ImageError if it cannot be read or is larger than `MAX_BYTES`."""
    name = os.fspath(path)
    try:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size > MAX_BYTES:
                raise ImageError(name, "open", f"the file is larger than {MAX_BYTES / 1e6:,.0f} MB")
            return file.read()
    except OSError as error:
        raise ImageError(name, "open", file_reason(error)) from None


def file_reason(error: OSError) -> str:
    """A readable reason why a file cannot be opened."""
    match error:
        case FileNotFoundError():
            return "no such file"
        case IsADirectoryError():
            return "is a folder, not a photo"
        case PermissionError():
            return "permission denied"
        case _:
            return f"cannot be read: {error.strerror or error}"


def upright_rgb(image: Image.Image, name: str) -> Image.Image:
    """Convert an open image to upright RGB. Raises ImageError if it is damaged."""
    try:
        return to_rgb(_turned(image))
    except Exception as error:  # decoders raise any exception on damaged files
        raise ImageError(name, "decode", f"damaged or truncated: {one_line(error)}") from None


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image to RGB. Transparency is composited on white, and deep gray is scaled to 8 bits."""
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
    except Exception:  # invalid EXIF data must not make the photo unreadable
        return image


def _check_size(name: str, size: tuple[int, int], max_pixels: int | None) -> None:
    width, height = size
    if max_pixels is not None and width * height > max_pixels:
        limit = f"{max_pixels / 1e6:.0f} megapixels"
        raise ImageError(name, "open", f"{width} x {height} pixels exceeds the limit of {limit}")
    if max(width, height) > MAX_SIDE_PX:
        raise ImageError(
            name, "open", f"{width} x {height} pixels exceeds the limit of {MAX_SIDE_PX:,} pixels per side"
        )
    if min(width, height) < 1:
        raise ImageError(name, "open", "the image has no pixels")


def _unusual_scans(name: str, size: tuple[int, int], content: bytes) -> int:
    """The number of scans of a JPEG, 0 if it is a usual one. Raises ImageError if decoding them takes minutes."""
    # the quick count is too high for files with a video behind the photo, as many phones write them
    if content.count(b"\xff\xda") <= _USUAL_SCANS or (scans := _scans(content)) <= _USUAL_SCANS:
        return 0
    if scans * size[0] * size[1] > _MAX_SCANNED_PIXELS:
        raise ImageError(
            name, "open", f"a JPEG of {size[0]} x {size[1]} pixels with {scans:,} scans, too slow to decode"
        )
    return scans


def _scans(content: bytes) -> int:
    """The number of scans of the first image of a JPEG file (ITU T.81, annex B)."""
    scans, position = 0, 2
    while (marker := _MARKER.search(content, position)) is not None:
        code, position = content[marker.end() - 1], marker.end()
        if code == 0xD9:  # end of image
            break
        scans += code == 0xDA  # start of scan
        if code not in (0x01, 0xD8):  # those have no segment
            position += max(2, int.from_bytes(content[position : position + 2], "big"))
    return scans


def _draft(image: Image.Image, min_px: int) -> None:
    short = min(image.size)
    if image.format in ("JPEG", "MPO") and short > min_px:
        width, height = image.size
        # Pillow picks the smallest scale of 1/8, 1/4, 1/2 that is at least this size, so the short side decides
        image.draft(None, (width * min_px // short, height * min_px // short))


def _cost(image: Image.Image, pixels: int, scans: int) -> DecodingCost:
    """The cost of an open image with this number of pixels at full size, after `_draft`."""
    decoded = image.width * image.height * _DECODED_BYTES
    if image.info.get("progressive"):
        decoded += pixels * _COEFFICIENT_BYTES
    return DecodingCost(image.format or "", decoded, scans)


def _deep_gray(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """8-bit gray from 32-bit integers or floats. White is the smallest of 1, 255 and 65535 that no value exceeds."""
    values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    top = values.max(initial=0.0)
    scale = next((limit for limit in (1.0, 255.0, 65_535.0) if top <= limit), top)
    return (np.clip(values / scale, 0, 1) * 255).astype(np.uint8)


def _exif(image: Image.Image) -> Image.Exif:
    try:
        return image.getexif()
    except Exception:  # invalid EXIF data must not make the photo unreadable
        return Image.Exif()


def _taken(exif: Image.Exif) -> str | None:
    """EXIF date of the exposure, else EXIF date of the last change."""
    try:
        value = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime)
    except Exception:  # as above
        return None
    match = _DATE.match(value) if isinstance(value, str) else None
    return "{}-{}-{} {}".format(*match.groups()) if match else None


@functools.cache
def _prepare_pillow() -> None:
    """Register HEIC once, and silence Pillow's warnings: this module checks sizes, and errors name what is damaged."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
