"""Bringing the store up to date with folders of photos.

Every batch is one transaction: an update that is killed goes on where it was.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mvmr_zoo.errors import DataError, ImageError
from mvmr_zoo.images import FailureRow, Globs, Scan, Stamp, absolute, file_bytes, read_photo, scan_folder
from mvmr_zoo.inference import Model
from mvmr_zoo.search.rows import PhotoRow
from mvmr_zoo.search.store import Store

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
        recognized: new names or dates of a content already known; not decoded either.
        removed: names that are gone since: missing photos, moved ones, and those that a glob leaves out now.
        failures: what could not be indexed, with the reason.
        total: photos in the library now.
    """

    found: int
    unchanged: int
    added: int
    recognized: int
    removed: int
    failures: list[FailureRow]
    total: int


class Pending(NamedTuple):
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
    globs: Globs,
) -> AddReport:
    """Make the store hold what the folders hold.

    Args:
        store: of the library.
        model: gives the library's encoder; asked only when there is something to embed.
        folders: each is searched with its subfolders.
        progress: told how far it is.
        allow_empty: whether a folder that had photos and has none now may lose them all.
        globs: which photos to take; others that the library has of these folders are forgotten.

    Raises:
        DataError: a folder does not exist, cannot be read, or none holds a photo.
    """
    roots = [absolute(folder) for folder in folders]
    scans = {root: _scan(root, store, globs, allow_empty=allow_empty) for root in roots}
    known = {path: stamp for root in scans for path, stamp in store.stamps(root).items()}
    tried = known.keys() | {path for root in scans for path in store.failed(root)}
    found = {path: (root, stamp) for root, scan in scans.items() for path, stamp in scan.photos.items()}
    if not found and not tried:
        raise _nothing_in(scans)
    pending = [Pending(root, path, stamp) for path, (root, stamp) in sorted(found.items()) if known.get(path) != stamp]
    unknown = _recognize(store, pending, progress)
    unreadable = [row for scan in scans.values() for row in scan.unreadable]
    failures: list[FailureRow] = []
    if unknown:
        done = 0
        progress(done, len(unknown))
        for rows, failed in embedded(model(), unknown):
            store.write(photos=rows, failures=failed, gone=[failure.path for failure in failed])
            failures += failed
            done += len(rows) + len(failed)
            progress(done, len(unknown))
    gone = [path for path in tried - found.keys() if not any(scan.may_hide(path) for scan in scans.values())]
    # last: until here a renamed photo's old row was still needed
    unwanted = {path for path in gone if os.path.exists(path)}  # left out by a glob, or no photo any more
    missing = set(store.paths("missing = 1"))
    store.write(failures=unreadable, gone=unwanted)
    store.mark(missing=set(gone) - unwanted, back=found.keys() & missing)
    return AddReport(
        found=len(found),
        unchanged=len(found) - len(pending),
        added=len(unknown) - len(failures),
        recognized=len(pending) - len(unknown),
        removed=len((known.keys() & set(gone)) - missing),
        failures=unreadable + failures,
        total=store.count(),
    )


def _scan(root: bytes, store: Store, globs: Globs, *, allow_empty: bool) -> Scan:
    """What lies in a folder; DataError where it cannot be read, or suddenly holds none of its photos."""
    name, remembered = os.fsdecode(root), len(store.stamps(root))
    if not os.path.isdir(root):
        if remembered and allow_empty and not os.path.exists(root):
            return Scan()
        what = "is not a folder" if os.path.exists(root) else "does not exist, or may not be looked at"
        raise DataError(f"{name} {what}. Give a folder of photos.")
    if not os.access(root, os.R_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise DataError(f"{name} cannot be read: no permission.")
    scan = scan_folder(root, globs)
    if remembered and not scan.photos and not scan.unreadable and not allow_empty:
        raise DataError(
            f"{name} holds no photo now, but the library remembers {remembered} from it. "
            "Nothing was changed. If its disk is not connected, connect it; if they are gone, add --allow-empty."
        )
    return scan


def _nothing_in(scans: dict[bytes, Scan]) -> DataError:
    names = ", ".join(os.fsdecode(root) for root in scans)
    return DataError(f"No photo in {names}. Photos are found by their ending: .jpg, .png, .heic, .webp and the like.")


def _recognize(store: Store, pending: list[Pending], progress: Progress) -> list[Pending]:
    """Remember photos whose content the store knows already, and return the others."""
    unknown: list[Pending] = []
    sizes = store.sizes()
    for first in range(0, len(pending), BATCH_SIZE):
        recognized = []
        for photo in pending[first : first + BATCH_SIZE]:
            twin = _twin(store, photo) if photo.stamp.size in sizes else None
            if twin is None:
                unknown.append(photo)
            else:
                recognized.append(replace(twin, root=photo.root, path=photo.path, stamp=photo.stamp))
        if recognized:
            store.write(photos=recognized)
            progress(first + len(recognized), len(pending))
    return unknown


def _twin(store: Store, photo: Pending) -> PhotoRow | None:
    try:
        return store.by_content(digest(file_bytes(os.fsdecode(photo.path))))
    except ImageError:
        return None  # decoding will meet the same error, and report it


def embedded(model: Model, photos: Sequence[Pending]) -> Iterator[tuple[list[PhotoRow], list[FailureRow]]]:
    """Decode and embed photos, `BATCH_SIZE` at a time; for each batch its photos and its failures."""
    read: dict[bytes, _Read] = {}

    def decode(path: bytes, min_px: int) -> Image.Image:
        name = os.fsdecode(path)
        content = file_bytes(name)
        photo = read_photo(name, content=content, min_px=min_px)
        read[path] = _Read(photo.width, photo.height, photo.taken, digest(content))
        return photo.image

    for batch in model.stream((photo.path for photo in photos), batch_size=BATCH_SIZE, decode=decode):
        rows = []
        for row, vector in zip(batch.rows, batch.vectors.astype(np.float16), strict=True):
            facts = read.pop(photos[row].path)
            rows.append(PhotoRow(**photos[row]._asdict(), **facts._asdict(), vector=vector))
        yield rows, [FailureRow(photos[f.row].path, f.stage, f.reason) for f in batch.failures]


def digest(content: bytes) -> bytes:
    """What tells equal files: their SHA-256."""
    return hashlib.sha256(content).digest()
