"""Removes folders and missing photos from a library. Photo files are not changed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from mvmr_zoo.errors import DataError
from mvmr_zoo.images import names_of

if TYPE_CHECKING:
    from mvmr_zoo.search.store import Store


class Pruned(NamedTuple):
    """The result of `prune`: the number of removed photos, and the number of photos whose files exist again."""

    forgotten: int
    back: int


def forget_folders(store: Store, folders: Iterable[str | os.PathLike[str]]) -> int:
    """Remove all photos and failures of folders from the library, and return the number of removed photos.

    Raises:
        DataError: The library contains no photos from one of the folders.
    """
    removed: set[bytes] = set()
    photos = 0
    for folder in folders:
        stamps = {path for root in names_of(folder) for path in store.stamps(root)}
        failed = {path for root in names_of(folder) for path in store.failed(root)}
        if not stamps | failed:
            raise DataError(f"The library {store.path.parent} contains no photos from {os.fspath(folder)}.")
        photos += len(stamps - removed)
        removed |= stamps | failed
    store.write(removed=removed)
    return photos


def forget_missing(store: Store) -> Pruned:
    """Remove missing photos from the library. Photos whose files exist again are kept."""
    paths = store.paths("missing = 1")
    found = [path for path in paths if os.path.exists(path)]
    removed = sorted(set(paths) - set(found))
    store.write(removed=removed)
    store.mark(found=found)
    return Pruned(len(removed), len(found))
