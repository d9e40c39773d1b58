"""Small copies of photos, made here: upright, without EXIF and position; a changed photo gets another one."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from mvmr_zoo.errors import ImageError
from mvmr_zoo.images import Stamp, read_image

if TYPE_CHECKING:
    from mvmr_zoo.search import PhotoRow

THUMBNAIL_PX = 320
LARGE_PX = 1_280

_QUALITY = 82
_NAMED_BY = 40
_MISSING, _WAITING = "missing.jpg", "waiting.jpg"


class Thumbnails:
    """A folder of small copies.

    A file's name is drawn from the content of its photo, so nobody can guess it who has not seen the photo.

    Args:
        folder: where they are kept; made when it is not there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self.waiting = self._drawn(_WAITING)
        self._makers = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="thumbnails")

    def of(self, photos: Sequence[PhotoRow], px: int = THUMBNAIL_PX, *, patience_s: float | None = None) -> list[Path]:
        """The small copy of each photo, made where there is none; a crossed one for a photo that cannot be read.

        Args:
            photos: of the library.
            px: the longer side, `THUMBNAIL_PX` or `LARGE_PX`.
            patience_s: how long to wait for those that are being made; `waiting` stands for the others. None waits for
                all.
        """
        making = [self._makers.submit(self._one, photo, px) for photo in photos]
        wait(making, timeout=patience_s)
        return [each.result() if each.done() else self.waiting for each in making]

    def forget_all_but(self, photos: Iterable[PhotoRow]) -> None:
        """Delete the copies of photos that the library does not have any more."""
        kept = {_name(photo.content, photo.stamp) for photo in photos}
        for file in self.folder.glob("*-*.jpg"):
            if file.name.split("-")[0] not in kept:
                file.unlink(missing_ok=True)

    def close(self) -> None:
        """Make no more."""
        self._makers.shutdown(cancel_futures=True)

    def _one(self, photo: PhotoRow, px: int) -> Path:
        try:
            found = os.stat(photo.path)
        except OSError:
            return self._drawn(_MISSING)
        file = self.folder / f"{_name(photo.content, Stamp(found.st_size, found.st_mtime_ns))}-{px}.jpg"
        if not file.exists():
            try:
                save_small(read_image(os.fsdecode(photo.path), min_px=px), file, px)
            except ImageError:
                return self._drawn(_MISSING)
        return file

    def _drawn(self, name: str) -> Path:
        """A gray square that stands for a photo; a cross in it where there will be none."""
        file = self.folder / name
        if not file.exists():
            gray = Image.new("RGB", (THUMBNAIL_PX, THUMBNAIL_PX), "#9a9a9a")
            if name == _MISSING:
                ImageDraw.Draw(gray).line((90, 90, 230, 230, 160, 160, 230, 90, 90, 230), fill="#6a6a6a", width=8)
            save_small(gray, file, THUMBNAIL_PX)
        return file


def save_small(image: Image.Image, file: Path, px: int) -> None:
    """Write an image as JPEG, its longer side at most `px`; of what its file told, only how its colors are meant."""
    profile = image.info.get("icc_profile") or b""
    small = image.copy()
    small.thumbnail((px, px))
    small.info = {}  # comments are there too
    handle, part = tempfile.mkstemp(dir=file.parent, prefix=".part-", suffix=".jpg")
    try:
        with os.fdopen(handle, "wb") as out:
            small.save(out, "JPEG", quality=_QUALITY, icc_profile=profile if profile[16:20] == b"RGB " else None)
        os.replace(part, file)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def _name(content: bytes, stamp: Stamp) -> str:
    return hashlib.sha256(content + repr(tuple(stamp)).encode()).hexdigest()[:_NAMED_BY]
