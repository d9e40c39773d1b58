"""Forgetting photos: those of some folders, and those whose files are missing. No file is touched."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from mvmr_zoo.errors import DataError
from mvmr_zoo.images import names_of

if TYPE_CHECKING:
    from mvmr_zoo.search.store import Store


class Pruned(NamedTuple):
    """What `prune` did: photos forgotten, and photos whose files are there again."""

    forgotten: int
    back: int


def forget_folders(store: Store, folders: Iterable[str | os.PathLike[str]]) -> int:
    """Forget every photo below some folders, and every failure; returns how many photos.

    Raises:
        DataError: the library has no photo of a folder.
    """
    gone: set[bytes] = set()
    photos = 0
    for folder in folders:
        stamps = {path for root in names_of(folder) for path in store.stamps(root)}
        failed = {path for root in names_of(folder) for path in store.failed(root)}
        if not stamps | failed:
            raise DataError(f"The library {store.path.parent} has no photo of {os.fspath(folder)}.")
        photos += len(stamps - gone)
        gone |= stamps | failed
    store.write(gone=gone)
    return photos


def forget_missing(store: Store) -> Pruned:
    """Forget the photos that are missing; those whose files are there again are kept."""
    paths = store.paths("missing = 1")
    back = [path for path in paths if os.path.exists(path)]
    gone = sorted(set(paths) - set(back))
    store.write(gone=gone)
    store.mark(back=back)
    return Pruned(len(gone), len(back))
