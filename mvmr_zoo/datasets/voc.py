"""PASCAL VOC 2007 in its original layout: photos that may show several of twenty classes.

`VOCdevkit/VOC2007` holds the photos in `JPEGImages`; each split, `trainval` or `test`, is a list of their numbers in
`ImageSets/Main`, and beside it lies a file a class that says of each of them whether it shows the class.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo._io import read_regular
from mvmr_zoo.datasets.folder import ImageFolder
from mvmr_zoo.errors import DataError
from mvmr_zoo.images import file_reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

ABSENT, PRESENT, DIFFICULT = 0, 1, -1
"""What a label says of a class in a photo; one shown as difficult only is neither right nor wrong."""

SPLITS = ("trainval", "test")

_MARKS = {"1": PRESENT, "-1": ABSENT, "0": DIFFICULT}
"""Marks in the class files, from the documentation of the VOC 2007 development kit."""

_PLACES = ("VOCdevkit/VOC2007", "VOC2007", "voc07/VOCdevkit/VOC2007", "voc07/VOC2007", "voc07", ".")

_AGAIN = "Download the VOC 2007 trainval and test archives again, and unpack both into one folder."


@dataclass(frozen=True)
class VocImages(ImageFolder):
    """An `ImageSet` of photos that may show several classes; its `labels` are all -1.

    Args:
        split: `trainval` or `test`.
        presence: `(N, 20)` int64 of 1 present, 0 absent, -1 shown as difficult only; columns as `class_names`.
    """

    split: str
    presence: NDArray[np.int64]

    @property
    def name(self) -> str:
        """`voc07:SPLIT`."""
        return f"voc07:{self.split}"


def voc07_images(root: Path, split: str) -> VocImages:
    """The photos of a split, in the order of its list.

    Args:
        root: The folder that holds `VOCdevkit`, that folder itself or `VOC2007` in it; or a folder with any of these
            in its subfolder `voc07`.
        split: `trainval` or `test`.

    Raises:
        DataError: No such split; a file is missing or damaged; a class file is not about the split's photos.
    """
    if split not in SPLITS:
        raise DataError(f"voc07 has no split {split!r}; expected one of {', '.join(SPLITS)}.")
    base = next((root / place for place in _PLACES if (root / place / "ImageSets" / "Main").is_dir()), None)
    if base is None:
        raise DataError(f"{root} does not contain VOC 2007. Expected VOCdevkit/VOC2007/ImageSets/Main in it.")
    lists, photos = base / "ImageSets" / "Main", base / "JPEGImages"
    listed = lists / f"{split}.txt"
    numbers = _lines(listed)
    if not numbers:
        raise DataError(f"{listed} lists no photos. {_AGAIN}")
    columns = [_column(lists / f"{name}_{split}.txt", listed, numbers) for name in CLASSES]
    paths = [photos / f"{number}.jpg" for number in numbers]
    _check_photos(photos, paths)
    labels = np.full(len(paths), -1, np.int64)
    return VocImages(photos, paths, labels, list(CLASSES), split, np.asarray(columns, np.int64).T)


def _column(path: Path, listed: Path, numbers: list[str]) -> list[int]:
    """Labels of a class file, in the order of `numbers`, the photos in `listed`."""
    labels = {}
    for line in _lines(path):
        match line.split():
            case [number, mark] if mark in _MARKS:
                labels[number] = _MARKS[mark]
            case _:
                raise DataError(
                    f"{path} contains the line {line!r}; expected a photo number followed by 1, 0 or -1. {_AGAIN}"
                )
    if odd := sorted(labels.keys() ^ set(numbers)):
        raise DataError(f"Only one of {path} and {listed} lists photo {odd[0]}; expected the same photos. {_AGAIN}")
    return [labels[number] for number in numbers]


def _lines(path: Path) -> list[str]:
    """Lines of a text file, stripped, without empty lines."""
    try:
        return [line.strip() for line in read_regular(path).decode().splitlines() if line.strip()]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {file_reason(error)}. {_AGAIN}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text. {_AGAIN}") from None


def _check_photos(folder: Path, paths: list[Path]) -> None:
    try:
        there = set(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {file_reason(error)}. {_AGAIN}") from None
    if missing := [path for path in paths if path not in there]:
        raise DataError(f"{len(missing)} of {len(paths)} photos are missing, for example {missing[0]}. {_AGAIN}")
