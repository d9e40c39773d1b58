"""What people may send: photos of at most 20 MB and 60 megapixels, deleted within the hour."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
"""Together below an hour: no upload that is still there is older than their sum."""

_DECODED_PX = 1_024
_FOLDER = "mvmr-demo-{}-"


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


@contextmanager
def uploads_folder() -> Iterator[Path]:
    """A folder of this process for what people send, deleted at the end; those of processes that were killed go too."""
    for left in Path(tempfile.gettempdir()).glob(_FOLDER.format("*") + "*"):
        owner = re.match(_FOLDER.format(r"(\d+)"), left.name)
        if owner is not None and not _is_alive(int(owner[1])):
            shutil.rmtree(left, ignore_errors=True)
    prefix, ended = _FOLDER.format(os.getpid()), threading.Event()
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()

        def keep_swept() -> None:
            while not ended.wait(SWEPT_EVERY_S):
                sweep(folder, KEPT_S)

        threading.Thread(target=keep_swept, name="sweeping", daemon=True).start()
        try:
            yield folder
        finally:
            ended.set()


def sweep(folder: Path, kept_s: float) -> None:
    """Delete every file below a folder that has been there longer; those of uploads that were broken off too."""
    oldest = time.time() - kept_s
    for file in folder.rglob("*"):
        with suppress(OSError):  # another thread was quicker
            if file.is_file() and file.lstat().st_ctime < oldest:
                file.unlink()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True
