"""Updates the database from folders of photos.

Each batch is one transaction. If the update is interrupted, the next one continues from there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from mvmr_zoo._io import Progress, counted
from mvmr_zoo.errors import DataError, ImageError
from mvmr_zoo.images import FailureRow, Globs, PhotoFile, Scan, Stamp, absolute, file_bytes, scan_folder
from mvmr_zoo.inference import Model
from mvmr_zoo.search.rows import PhotoRow
from mvmr_zoo.search.store import Store

BATCH_SIZE = 32


@dataclass(frozen=True, kw_only=True)
class AddReport:
    """The result of `PhotoLibrary.add`.

    Args:
        found: Number of photos in the folders.
        unchanged: Number of photos that were already indexed and have not changed.
        added: Number of photos that were decoded and embedded.
        recognized: Number of renamed, copied or touched photos whose file content was already indexed. They are not
            decoded again.
        removed: Number of paths that no longer exist or are now excluded. Moved photos are included.
        failures: Photos that could not be indexed, with the reason.
        total: Number of photos in the library, without missing ones.
    """

    found: int
    unchanged: int
    added: int
    recognized: int
    removed: int
    failures: list[FailureRow]
    total: int


class PendingPhoto(NamedTuple):
    """A photo that is new or changed."""

    root: bytes
    path: bytes
    stamp: Stamp


def sync_folders(
    store: Store,
    model: Callable[[], Model],
    folders: Iterable[str | os.PathLike[str]],
    progress: Progress,
    *,
    allow_empty: bool,
    globs: Globs,
) -> AddReport:
    """Update the database from folders of photos.

    Args:
        store: Library database.
        model: Returns the encoder of the library. It is called only if there are photos to embed.
        folders: Folders of photos. Subfolders are included.
        progress: Receives the number of processed photos and the total.
        allow_empty: Mark photos as missing even if their folder is now empty.
        globs: Photos to include and exclude. Excluded photos of these folders are removed from the library.

    Raises:
        DataError: A folder does not exist or cannot be read, or the folders contain no photos.
    """
    roots = [absolute(folder) for folder in folders]
    indexed = {root: store.stamps(root) for root in roots}
    scans = {root: _scan(root, len(each), globs, allow_empty=allow_empty) for root, each in indexed.items()}
    known = {path: stamp for each in indexed.values() for path, stamp in each.items()}
    tried = known.keys() | {path for root in scans for path in store.failed(root)}
    found = {path: (root, stamp) for root, scan in scans.items() for path, stamp in scan.photos.items()}
    if not found and not tried:
        raise _no_photos_error(scans)
    pending = [
        PendingPhoto(root, path, stamp) for path, (root, stamp) in sorted(found.items()) if known.get(path) != stamp
    ]
    unknown = _recognize(store, pending, progress)
    unreadable = [row for scan in scans.values() for row in scan.unreadable]
    failures: list[FailureRow] = []
    if unknown:
        done = 0
        progress(done, len(unknown))
        for rows, failed in embed_photos(model(), unknown):
            store.write(photos=rows, failures=failed, removed=[failure.path for failure in failed])
            failures += failed
            done += len(rows) + len(failed)
            progress(done, len(unknown))
    gone = [path for path in tried - found.keys() if not any(scan.may_hide(path) for scan in scans.values())]
    # the rows of renamed photos are deleted last, because `_recognize` needs them
    unwanted = {path for path in gone if os.path.exists(path)}  # excluded by a glob, or no longer a photo
    missing = set(store.paths("missing = 1"))
    store.write(failures=unreadable, removed=unwanted)
    store.mark(missing=set(gone) - unwanted, found=found.keys() & missing)
    return AddReport(
        found=len(found),
        unchanged=len(found) - len(pending),
        added=len(unknown) - len(failures),
        recognized=len(pending) - len(unknown),
        removed=len((known.keys() & set(gone)) - missing),
        failures=unreadable + failures,
        total=store.count(),
    )


def _scan(root: bytes, indexed: int, globs: Globs, *, allow_empty: bool) -> Scan:
    """Scan a folder. Raises DataError if it cannot be read, or if it is empty although photos of it are indexed."""
    name = os.fsdecode(root)
    if not os.path.isdir(root):
        if indexed and allow_empty and not os.path.exists(root):
            return Scan()
        what = "is not a folder" if os.path.exists(root) else "does not exist or cannot be accessed"
        raise DataError(f"{name} {what}. Specify a folder of photos.")
    if not os.access(root, os.R_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise DataError(f"{name} cannot be read: permission denied. Check the permissions of the folder.")
    scan = scan_folder(root, globs)
    if indexed and not scan.photos and not scan.unreadable and not allow_empty:
        raise DataError(
            f"{name} contains no photos, but the library has {counted(indexed, 'photo')} from it. Nothing was changed. "
            "If its disk is disconnected, connect it. If the photos were deleted, use --allow-empty."
        )
    return scan


def _no_photos_error(scans: dict[bytes, Scan]) -> DataError:
    names = ", ".join(os.fsdecode(root) for root in scans)
    return DataError(
        f"No photos found in {names}. Photos are recognized by their extension, such as .jpg, .png, .heic or .webp."
    )


def _recognize(store: Store, pending: list[PendingPhoto], progress: Progress) -> list[PendingPhoto]:
    """Index photos whose file content is already in the database, and return the others."""
    unknown: list[PendingPhoto] = []
    sizes = store.sizes()
    for first in range(0, len(pending), BATCH_SIZE):
        recognized = []
        for photo in pending[first : first + BATCH_SIZE]:
            copy = _indexed_copy(store, photo) if photo.stamp.size in sizes else None
            if copy is None:
                unknown.append(photo)
            else:
                recognized.append(replace(copy, root=photo.root, path=photo.path, stamp=photo.stamp))
        if recognized:
            store.write(photos=recognized)
            progress(first + len(recognized), len(pending))
    return unknown


def _indexed_copy(store: Store, photo: PendingPhoto) -> PhotoRow | None:
    """A photo in the database with the same file content. None if there is none."""
    try:
        return store.by_sha256(sha256_of(file_bytes(os.fsdecode(photo.path))))
    except ImageError:
        return None  # decoding raises the same error, and reports it


def embed_photos(model: Model, photos: Sequence[PendingPhoto]) -> Iterator[tuple[list[PhotoRow], list[FailureRow]]]:
    """Decode and embed photos in batches of `BATCH_SIZE`. Yields the photos and failures of each batch."""
    files = (PhotoFile(os.fsdecode(photo.path)) for photo in photos)
    for batch in model.stream(files, batch_size=BATCH_SIZE, with_hash=True):
        rows = [
            PhotoRow(**photos[row]._asdict(), **facts._asdict(), vector=vector)
            for row, facts, vector in zip(batch.rows, batch.facts, batch.vectors.astype(np.float16), strict=True)
        ]
        yield rows, [FailureRow(photos[f.row].path, f.stage, f.reason) for f in batch.failures]


def sha256_of(content: bytes) -> bytes:
    """SHA-256 digest of the content of a file."""
    return hashlib.sha256(content).digest()
