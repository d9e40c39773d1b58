"""Bringing the store up to date with folders of photos.

Every batch is one transaction: an update that is killed goes on where it was.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mvmr_zoo.errors import DataError, ImageError
from mvmr_zoo.images import file_reason, read_photo
from mvmr_zoo.library.scan import Scan, scan_folder
from mvmr_zoo.library.store import FailureRow, PhotoRow, Stamp, Store
from mvmr_zoo.model import Model

if TYPE_CHECKING:
    from PIL import Image

BATCH_SIZE = 32

Progress = Callable[[int, int], None]
"""Called with photos done and photos to do."""


@dataclass(frozen=True, kw_only=True)
class AddReport:
    """What one `add` did.

    Args:
        found: photos in the folders now.
        unchanged: not decoded again.
        added: decoded and embedded.
        recognised: new names or dates of a content already known; not decoded either.
        removed: names that are gone.
        failures: what could not be indexed, with the reason.
        total: photos in the library now.
    """

    found: int
    unchanged: int
    added: int
    recognised: int
    removed: int
    failures: list[FailureRow]
    total: int


class _Pending(NamedTuple):
    """A photo that is new or changed."""

    root: bytes
    path: bytes
    stamp: Stamp


class _Read(NamedTuple):
    """What reading a photo told, besides its pixels."""

    width: int
    height: int
    taken: str | None
    content: bytes


def update(
    store: Store,
    model: Callable[[], Model],
    folders: Iterable[str | os.PathLike[str]],
    progress: Progress,
    *,
    allow_empty: bool,
) -> AddReport:
    """Make the store hold what the folders hold.

    Args:
        store: of the library.
        model: gives the library's encoder; asked only when there is something to embed.
        folders: each is searched with its subfolders.
        progress: told how far it is.
        allow_empty: whether a folder that had photos and has none now may lose them all.

    Raises:
        DataError: a folder does not exist, cannot be read, or none holds a photo.
    """
    scans = {root: scan_folder(root) for root in map(_existing, folders)}
    known = {path: stamp for root in scans for path, stamp in store.stamps(root).items()}
    tried = known.keys() | {path for root in scans for path in store.failed(root)}
    found = {path: (root, stamp) for root, scan in scans.items() for path, stamp in scan.photos.items()}
    if not found and not tried:
        raise _nothing_in(scans)
    if not allow_empty:
        for root, scan in scans.items():
            _refuse_sudden_emptiness(root, scan, store)
    pending = [_Pending(root, path, stamp) for path, (root, stamp) in sorted(found.items()) if known.get(path) != stamp]
    recognised, unknown = _recognise(store, pending)
    failures = [row for scan in scans.values() for row in scan.unreadable]
    unreadable = len(failures)
    if unknown:
        failures += _embed(store, model(), unknown, progress)
    gone = [path for path in tried - found.keys() if not any(scan.may_hide(path) for scan in scans.values())]
    # last: until here a renamed photo's old row was still needed
    store.write(photos=recognised, failures=failures[:unreadable], gone=gone)
    return AddReport(
        found=len(found),
        unchanged=len(found) - len(pending),
        added=len(unknown) - (len(failures) - unreadable),
        recognised=len(recognised),
        removed=len(gone),
        failures=failures,
        total=store.count(),
    )


def _existing(folder: str | os.PathLike[str]) -> bytes:
    path = Path(os.path.expanduser(folder))
    if not os.path.isdir(path):
        what = "is not a folder" if os.path.exists(path) else "does not exist, or may not be looked at"
        raise DataError(f"{path} {what}. Give a folder of photos.")
    if not os.access(path, os.R_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise DataError(f"{path} cannot be read: no permission.")
    return os.fsencode(path.resolve())


def _nothing_in(scans: dict[bytes, Scan]) -> DataError:
    names = ", ".join(os.fsdecode(root) for root in scans)
    return DataError(f"No photo in {names}. Photos are found by their ending: .jpg, .png, .heic, .webp and the like.")


def _refuse_sudden_emptiness(root: bytes, scan: Scan, store: Store) -> None:
    """Raise DataError where a folder lost all its photos: more likely a disk that is not there."""
    remembered = len(store.stamps(root))
    if remembered and not scan.photos and not scan.unreadable:
        raise DataError(
            f"{os.fsdecode(root)} holds no photo now, but the library remembers {remembered} from it. "
            "Nothing was changed. If its disk is not connected, connect it; if they are gone, add --allow-empty."
        )


def _recognise(store: Store, pending: list[_Pending]) -> tuple[list[PhotoRow], list[_Pending]]:
    """Split into photos whose content the store knows already, with their new rows, and the others."""
    recognised: list[PhotoRow] = []
    unknown: list[_Pending] = []
    sizes = store.sizes()
    for photo in pending:
        twin = _twin(store, photo) if photo.stamp.size in sizes else None
        if twin is None:
            unknown.append(photo)
        else:
            recognised.append(replace(twin, root=photo.root, path=photo.path, stamp=photo.stamp))
    return recognised, unknown


def _twin(store: Store, photo: _Pending) -> PhotoRow | None:
    try:
        return store.by_content(_digest(Path(os.fsdecode(photo.path)).read_bytes()))
    except OSError:
        return None  # decoding will meet the same error, and report it


def _embed(store: Store, model: Model, pending: list[_Pending], progress: Progress) -> list[FailureRow]:
    """Decode and embed photos, a transaction a batch; returns the failures."""
    read: dict[bytes, _Read] = {}

    def decode(path: bytes, min_px: int) -> Image.Image:
        name = os.fsdecode(path)
        try:
            content = Path(name).read_bytes()
        except OSError as error:
            raise ImageError(name, "open", file_reason(error)) from None
        photo = read_photo(name, content=content, min_px=min_px)
        read[path] = _Read(photo.width, photo.height, photo.taken, _digest(content))
        return photo.image

    failures: list[FailureRow] = []
    done = 0
    progress(done, len(pending))
    for batch in model.stream((photo.path for photo in pending), batch_size=BATCH_SIZE, decode=decode):
        rows = []
        for row, vector in zip(batch.rows, batch.vectors.astype(np.float16), strict=True):
            photo = pending[row]
            facts = read.pop(photo.path)
            rows.append(PhotoRow(**photo._asdict(), **facts._asdict(), vector=vector))
        failed = [FailureRow(pending[f.row].path, f.stage, f.reason) for f in batch.failures]
        store.write(photos=rows, failures=failed, gone=[failure.path for failure in failed])
        failures += failed
        done += len(rows) + len(failed)
        progress(done, len(pending))
    return failures


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
