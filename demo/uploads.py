"""What people may send: photos of at most 20 MB and 60 megapixels, deleted within the hour."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mvmr_zoo.errors import ImageError
from mvmr_zoo.images import file_bytes, read_photo

if TYPE_CHECKING:
    from PIL import Image

MAX_BYTES = 20_000_000
MAX_PIXELS = 60_000_000

KEPT_S = 3_000
SWEPT_EVERY_S = 300
"""Together below an hour: the oldest upload that is still there is as old as their sum."""

_DECODED_PX = 1_024


class Upload(NamedTuple):
    """A photo somebody sent.

    Args:
        name: of its file.
        content: of its file.
        image: upright RGB, perhaps at a reduced size.
    """

    name: str
    content: bytes
    image: Image.Image


def open_upload(path: str | os.PathLike[str]) -> Upload:
    """A photo that was sent. Raises ImageError, which names the file without its folder, where it may not be used."""
    name = Path(path).name
    try:
        size = os.stat(path).st_size
        if size > MAX_BYTES:
            raise ImageError(name, "open", f"{size / 1e6:.0f} MB: over {MAX_BYTES / 1e6:.0f} MB, refused")
        content = file_bytes(path)
        photo = read_photo(name, content=content, min_px=_DECODED_PX, max_pixels=MAX_PIXELS)
    except OSError:
        raise ImageError(name, "open", "is not there any more; send it again") from None
    except ImageError as error:
        raise ImageError(name, error.stage, error.reason) from None
    return Upload(name, content, photo.image)
