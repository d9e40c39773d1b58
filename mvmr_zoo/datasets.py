"""Labelled photos on disk."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo.errors import DataError
from mvmr_zoo.images import SUFFIXES

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelledPhotos:
    """Photos with one class each.

    Args:
        root: the folder they lie under.
        paths: N files, sorted by their path below `root`.
        labels: `(N,)` int64, indices into `class_names`.
        class_names: sorted.
    """

    root: Path
    paths: list[Path]
    labels: NDArray[np.int64]
    class_names: list[str]

    def __len__(self) -> int:
        return len(self.paths)


def image_folder(root: str | os.PathLike[str]) -> LabelledPhotos:
    """The photos of a folder with one subfolder a class; photos deeper down belong to the same class.

    Raises:
        DataError: no such folder, or no subfolder that holds a photo.
    """
    base = Path(root)
    if not base.is_dir():
        raise DataError(f"{base} is not a folder. Expected one subfolder a class, with photos inside.")
    found = sorted(
        path
        for child in sorted(base.iterdir())
        if child.is_dir()
        for path in child.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    if not found:
        raise DataError(f"{base} holds no photo in a subfolder. Expected one subfolder a class, with photos inside.")
    names = [path.relative_to(base).parts[0] for path in found]
    class_names = sorted(set(names))
    position = {name: i for i, name in enumerate(class_names)}
    return LabelledPhotos(base, found, np.asarray([position[name] for name in names], np.int64), class_names)
