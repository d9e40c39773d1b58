"""Thumbnails of photos: upright, and without EXIF data such as the position. A changed photo gets a new thumbnail."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageCms, ImageDraw

from mvmr_zoo._io import written_whole
from mvmr_zoo.errors import ImageError
from mvmr_zoo.images import Stamp, read_image

if TYPE_CHECKING:
    from mvmr_zoo.search import PhotoRow

THUMBNAIL_PX = 320
LARGE_PX = 1_280

_QUALITY = 82
_NAME_LENGTH = 40
_FORMAT = b"srgb"
"""Part of the names, so that thumbnails of an earlier format are not used."""

_MAX_PROFILE_BYTES = 2_000_000
"""A larger color profile is ignored. Those of cameras and monitors are far smaller."""

_MISSING, _PLACEHOLDER = "missing.jpg", "waiting.jpg"


class Thumbnails:
    """A folder of thumbnails.

    File names are hashes of the photo content, so they cannot be guessed without the photo.

    Args:
        folder: Folder of the thumbnails; created if missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self.placeholder = self._symbol(_PLACEHOLDER)
        self._pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="thumbnails")

    def of(self, photos: Sequence[PhotoRow], px: int = THUMBNAIL_PX, *, timeout_s: float | None = None) -> list[Path]:
        """Return the thumbnail of each photo and create missing ones. Unreadable photos get a crossed-out square.

        Args:
            photos: Photos of the library.
            px: Longer side in pixels, `THUMBNAIL_PX` or `LARGE_PX`.
            timeout_s: Maximum time to wait for new thumbnails; `placeholder` is returned for those that are not ready.
                None waits for all.
        """
        futures = [self._pool.submit(self._thumbnail, photo, px) for photo in photos]
        wait(futures, timeout=timeout_s)
        return [each.result() if each.done() else self.placeholder for each in futures]

    def delete_all_except(self, photos: Iterable[PhotoRow]) -> None:
        """Delete the thumbnails of all other photos."""
        kept = {_name(photo.sha256, photo.stamp) for photo in photos}
        for file in self.folder.glob("*-*.jpg"):
            if file.name.split("-")[0] not in kept:
                file.unlink(missing_ok=True)

    def close(self) -> None:
        """Stop the worker threads and cancel pending thumbnails."""
        self._pool.shutdown(cancel_futures=True)

    def _thumbnail(self, photo: PhotoRow, px: int) -> Path:
        try:
            stat = os.stat(photo.path)
        except OSError:
            return self._symbol(_MISSING)
        file = self.folder / f"{_name(photo.sha256, Stamp(stat.st_size, stat.st_mtime_ns))}-{px}.jpg"
        if not file.exists():
            try:
                save_small(read_image(os.fsdecode(photo.path), min_px=px), file, px)
            except ImageError:
                return self._symbol(_MISSING)
        return file

    def _symbol(self, name: str) -> Path:
        """Return a gray square, with a cross if the photo cannot be read."""
        file = self.folder / name
        if not file.exists():
            gray = Image.new("RGB", (THUMBNAIL_PX, THUMBNAIL_PX), "#9a9a9a")
            if name == _MISSING:
                ImageDraw.Draw(gray).line((90, 90, 230, 230, 160, 160, 230, 90, 90, 230), fill="#6a6a6a", width=8)
            save_small(gray, file, THUMBNAIL_PX)
        return file


def save_small(image: Image.Image, file: Path, px: int) -> None:
    """Write an image as an sRGB JPEG without metadata, with a longer side of at most `px`."""
    profile = image.info.get("icc_profile") or b""
    small = image.copy()
    small.thumbnail((px, px))
    small = _to_srgb(small, profile)
    small.info = {}  # comments and the profile
    with written_whole(file) as part:
        part.chmod(0o600)  # the photo may be private
        small.save(part, "JPEG", quality=_QUALITY)


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert an RGB image from the colors of its profile. An unusable profile is taken for sRGB."""
    if len(profile) > _MAX_PROFILE_BYTES or profile[16:20] != b"RGB ":
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return converted or image


def _name(sha256: bytes, stamp: Stamp) -> str:
    return hashlib.sha256(_FORMAT + sha256 + repr(tuple(stamp)).encode()).hexdigest()[:_NAME_LENGTH]
