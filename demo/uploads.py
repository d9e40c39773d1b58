"""Uploaded photos: at most 20 MB and 60 megapixels each and 400 MB in total, deleted within an hour."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mvmr_zoo._io import scratch_folder
from mvmr_zoo.errors import ImageError
from mvmr_zoo.images import DecodePool, PhotoFile, file_bytes

if TYPE_CHECKING:
    from PIL import Image

MAX_BYTES = 20_000_000
MAX_PIXELS = 60_000_000

MAX_TOTAL_BYTES = 400_000_000
"""If the uploads exceed this together, the oldest ones are deleted before the hour is over."""

_MIN_AGE_S = 60
"""A newer upload is kept, because its search may still be running."""

RETENTION_S = 3_000
SWEEP_INTERVAL_S = 300
"""The sum is below one hour, which is the maximum age of an upload."""

_DECODED_PX = 1_024

_DECODE_PROCESSES = 16
"""As many as searches at once, so that costly photos of one visitor do not delay another."""

_CPU_S = 3.0
_SMALL_BYTES = 1 << 27
_LARGE_WAIT_S = 5.0
"""Limits for an upload, lower than those for a library, because other visitors wait."""

_NICE = 5
"""Decoding has a lower priority than answering."""

THUMBNAILS = "thumbnails"
"""Folder beside that of the uploads, for thumbnails of a public page. It is deleted at the end too."""


class Upload(NamedTuple):
    """An uploaded photo.

    Args:
        name: File name.
        content: File content.
    """

    name: str
    content: bytes


def read_upload(path: str | os.PathLike[str]) -> Upload:
    """Read an uploaded file. It need not be a photo.

    Raises:
        ImageError: The file is missing or too large. The message does not contain its folder.
    """
    name = Path(path).name
    try:
        size = os.stat(path).st_size
        if size > MAX_BYTES:
            raise ImageError(name, "open", f"larger than {MAX_BYTES / 1e6:.0f} MB")
        return Upload(name, file_bytes(path))
    except OSError:
        raise ImageError(name, "open", "no longer on the server; send it again") from None
    except ImageError as error:
        raise ImageError(name, error.stage, error.reason) from None


def decode_upload(upload: Upload) -> Image.Image:
    """The upright RGB image of an upload, possibly decoded at a reduced size.

    Raises:
        ImageError: The photo is unreadable or has too many pixels.
    """
    return _decode_pool().photo(PhotoFile(*upload), min_px=_DECODED_PX, max_pixels=MAX_PIXELS).image


@functools.cache
def _decode_pool() -> DecodePool:
    return DecodePool(_DECODE_PROCESSES, cpu_s=_CPU_S, small_bytes=_SMALL_BYTES, large_wait_s=_LARGE_WAIT_S, nice=_NICE)


@contextmanager
def uploads_folder() -> Iterator[Path]:
    """Create the upload folder of this process in a new temporary folder, which is deleted at the end.

    Also deletes folders of killed processes.
    """
    ended = threading.Event()
    with scratch_folder() as scratch:
        folder = scratch.resolve() / "uploads"
        folder.mkdir()

        def sweep_repeatedly() -> None:
            while not ended.wait(SWEEP_INTERVAL_S):
                sweep(folder, RETENTION_S)

        threading.Thread(target=sweep_repeatedly, name="sweeping", daemon=True).start()
        try:
            yield folder
        finally:
            ended.set()


def sweep(folder: Path, max_age_s: float) -> None:
    """Delete all files in a folder tree that are older than `max_age_s`, including aborted uploads."""
    cutoff = time.time() - max_age_s
    for file in folder.rglob("*"):
        with suppress(OSError):  # another thread may have deleted it
            if file.is_file() and file.lstat().st_ctime < cutoff:
                file.unlink()


def make_room(folder: Path, *, total: int) -> bool:
    """Delete the oldest files of a folder tree until at most `total` bytes are left.

    Returns:
        False if that is not possible, because too many files are newer than a minute.
    """
    files = []
    for file in folder.rglob("*"):
        with suppress(OSError):  # another thread may have deleted it
            if file.is_file():
                files.append((file.lstat().st_ctime, file.lstat().st_size, file))
    size, newest = sum(each[1] for each in files), time.time() - _MIN_AGE_S
    for created, length, file in sorted(files):
        if size <= total or created > newest:
            break
        with suppress(OSError):  # another thread has deleted it, or a program has opened it on Windows
            file.unlink(missing_ok=True)
            size -= length
    return size <= total
