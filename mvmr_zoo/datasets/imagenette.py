"""Readable names of the classes of Imagenette, whose folders are named by WordNet IDs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}


def readable(folders: Sequence[str]) -> list[str]:
    """The classes of some folders, in their order: Imagenette's by name, any others as the folders are called."""
    # ImageNet has these ten among its thousand: naming them alone would leave its classes half readable
    if all(folder in _NAMES for folder in folders):
        return [_NAMES[folder] for folder in folders]
    return list(folders)
