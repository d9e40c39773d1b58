"""Read photo files: ordinary photos in this process, costly ones in a worker process with limits."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from mvmr_zoo.images.decode import DecodingCost, Photo, decode_photo, file_bytes
from mvmr_zoo.images.decode_pool import Cancellation, PhotoFile, decode_pool

if TYPE_CHECKING:
    from PIL import Image

_LIGHT_FORMATS = frozenset(("JPEG", "MPO", "PNG", "WEBP", "GIF"))
"""Formats whose header limits what is decoded. A TIFF tile, an HEIC grid or the runs of a BMP can be far larger."""

_LIGHT_BYTES = 150_000_000
"""Photos whose decoding needs more memory are decoded in a worker process: about 12 megapixels after `min_px`."""


def read_image(
    path: str | os.PathLike[str], *, min_px: int | None = None, cancellation: Cancellation | None = None
) -> Image.Image:
    """The upright RGB image of `read_photo`."""
    return read_photo(path, min_px=min_px, cancellation=cancellation).image


def read_photo(
    path: str | os.PathLike[str],
    *,
    content: bytes | None = None,
    min_px: int | None = None,
    max_pixels: int | None = None,
    cancellation: Cancellation | None = None,
) -> Photo:
    """Read a photo as an upright RGB image, with its size and date.

    Photos that may be costly are decoded in a worker process with limits of time and memory: TIFF, BMP, HEIC and AVIF
    files, JPEG files with many scans, and photos above about 12 megapixels.

    Args:
        path: A JPEG, PNG, WebP, BMP, TIFF, GIF, HEIC or AVIF file.
        content: Bytes of the file, if already read. `path` is then only used in messages.
        min_px: Decode a JPEG at 1/2, 1/4 or 1/8 of its size if its short side keeps at least this many pixels. None
            decodes every pixel.
        max_pixels: Maximum number of pixels. None uses Pillow's limit of about 179 million.
        cancellation: Stops a costly photo from another thread.

    Raises:
        ImageError: The file is missing, a directory, empty, not an image or truncated, or exceeds the maximum side of
            32,768 pixels, `max_pixels`, Pillow's limit, or the limits of time and memory.
    """
    name = os.fspath(path)
    if content is None:
        content = file_bytes(path)
    photo = None
    with suppress(MemoryError):
        photo = decode_photo(name, content, min_px=min_px, max_pixels=max_pixels, admit=_is_light)
    return photo or decode_pool().photo(
        PhotoFile(name, content), min_px=min_px, max_pixels=max_pixels, cancellation=cancellation
    )


def _is_light(cost: DecodingCost) -> bool:
    return cost.format in _LIGHT_FORMATS and cost.memory_bytes <= _LIGHT_BYTES and not cost.scans
