"""A folder of photos, with one subfolder per class or without classes."""

from __future__ import annotations

import functools
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo._io import read_regular
from mvmr_zoo.errors import DataError
from mvmr_zoo.images import SUFFIXES, file_reason, read_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL import Image

_IMAGENETTE_NAMES = {
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
"""Readable names of the classes of Imagenette, whose folders are named by WordNet IDs."""


@dataclass(frozen=True)
class ImageFolder:
    """An `ImageSet` of files.

    Args:
        root: Folder that contains the photos.
        paths: N files, sorted by their path below `root`.
        labels: `(N,)` int64, indices into `class_names`; all -1 where there are no classes.
        class_names: Class names, in the order of the folder names.
    """

    root: Path
    paths: list[Path]
    labels: NDArray[np.int64]
    class_names: list[str]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def name(self) -> str:
        """The last two parts of the folder's path."""
        return "/".join(self.root.resolve().parts[-2:])

    @property
    def files(self) -> list[Path]:
        """`paths`."""
        return self.paths

    def image(self, index: int, *, min_px: int | None = None) -> Image.Image:
        """The upright RGB photo `index`. Raises ImageError."""
        return read_image(self.paths[index], min_px=min_px)

    def describe(self, index: int) -> str:
        """The photo's path below the root."""
        return self.paths[index].relative_to(self.root).as_posix()

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of every photo's path below the root and content. Raises DataError."""
        digest = hashlib.sha256()
        for index, path in enumerate(self.paths):
            digest.update(self.describe(index).encode("utf-8", "surrogateescape"))
            try:
                digest.update(hashlib.sha256(read_regular(path)).digest())
            except OSError as error:
                raise DataError(f"{path} cannot be read: {file_reason(error)}.") from None
        return digest.hexdigest()


def image_folder(root: str | os.PathLike[str]) -> ImageFolder:
    """The photos of a folder with one subfolder per class; photos deeper down belong to the same class.

    A folder without a photo in any subfolder is a set without classes, of the photos straight in it;
    otherwise the photos straight in it, which have no class, are left out. A class is called as its folder is, but
    for Imagenette's, which have readable names.

    Raises:
        DataError: No such folder, or no photo in it.
    """
    base = Path(root)
    if not base.is_dir():
        raise DataError(f"{base} is not a folder. Expected one subfolder per class, each with photos.")
    children = sorted(base.iterdir())
    found = sorted(photo for child in children if child.is_dir() for photo in child.rglob("*") if _is_photo(photo))
    if not found:
        found = [child for child in children if _is_photo(child)]
        if not found:
            raise DataError(f"{base} contains no photos. Expected one subfolder per class, each with photos.")
        return ImageFolder(base, found, np.full(len(found), -1, np.int64), [])
    names = [path.relative_to(base).parts[0] for path in found]
    folders = sorted(set(names))
    position = {name: i for i, name in enumerate(folders)}
    return ImageFolder(base, found, np.asarray([position[name] for name in names], np.int64), _class_names(folders))


def _is_photo(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def _class_names(folders: Sequence[str]) -> list[str]:
    """The class names of folders, in their order: readable names for Imagenette, folder names for any others."""
    # ImageNet has these ten among its thousand: naming them alone would leave its classes half readable
    if all(folder in _IMAGENETTE_NAMES for folder in folders):
        return [_IMAGENETTE_NAMES[folder] for folder in folders]
    return list(folders)
