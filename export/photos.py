"""Photos to calibrate with and to measure on: a folder of the user's, or the bundled samples'."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo.checkpoint import file_digest
from mvmr_zoo.datasets import image_folder, make_samples, photograph_of
from mvmr_zoo.errors import DataError, ImageError
from mvmr_zoo.images import read_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLES = "sample photos"
"""What a certificate says of its photos where the user gave none."""

MEASURED = 64
"""The fewest photos a certificate is measured on."""

LABELED = 2000
"""The fewest photos on which a drop of accuracy says anything."""

CALIBRATION_STEP = 8
"""Photos to calibrate with are a multiple of it: so many are looked at together."""

_CALIBRATION = 160
_LARGEST = 512


@dataclass(frozen=True)
class Photos:
    """Photos to calibrate with, and others to measure on.

    Args:
        source: where they come from, in words.
        root: the folder their names are below.
        calibration: files.
        measured: other files.
        labels: `(len(measured),)` int64 classes; None where they are not asked for.
    """

    source: str
    root: Path
    calibration: list[Path]
    measured: list[Path]
    labels: NDArray[np.int64] | None = None

    def names(self, count: int) -> list[str]:
        """Paths below the root of the first `count` measured photos."""
        return [path.relative_to(self.root).as_posix() for path in self.measured[:count]]


def sample_photos(folder: Path) -> Photos:
    """Views of scikit-image's and scikit-learn's photographs: every third one calibrates, the others are measured.

    Args:
        folder: they are written to; it must last as long as they are used.

    Raises:
        MissingDependencyError: one of the two is not installed.
    """
    made = make_samples(folder)
    views = sorted([*made.library.iterdir(), *made.queries.iterdir()], key=lambda path: path.name)
    third = set(sorted({photograph_of(view) for view in views})[::3])
    calibration = [view for view in views if photograph_of(view) in third]
    return Photos(
        SAMPLES,
        folder,
        calibration[: len(calibration) // CALIBRATION_STEP * CALIBRATION_STEP],
        [view for view in views if photograph_of(view) not in third],
    )


def folder_photos(root: Path, *, labels: bool = False) -> Photos:
    """Photos of a folder and all below it, in an order drawn from a fixed seed.

    What cannot be read is left out, and what is the same file as one to calibrate with is not measured on.

    Args:
        root: with `labels`, one subfolder a class.
        labels: take every photo, with its class; otherwise up to 512 are measured.

    Raises:
        DataError: no such folder, too few photos, or no classes where labels are asked for.
    """
    found = image_folder(root)
    if labels and not found.class_names:
        raise DataError(f"{root} has no subfolders; --labels expects one for each class.")
    wanted = len(found) if labels else _CALIBRATION + _LARGEST
    readable: list[int] = []
    for index in np.random.default_rng(0).permutation(len(found)):
        if len(readable) == wanted:
            break
        if _readable(found.paths[index]):
            readable.append(index)
    count = min(_CALIBRATION, len(readable) // 4) // CALIBRATION_STEP * CALIBRATION_STEP
    calibration = [found.paths[index] for index in readable[:count]]
    seen = set(digests(calibration))
    rest = [index for index in readable[count:] if file_digest(found.paths[index]) not in seen]
    fewest = LABELED if labels else MEASURED
    if len(rest) < fewest:
        raise DataError(
            f"{root} has {len(readable)} photos that can be read, {len(rest)} of them not used to calibrate; "
            f"expected at least {fewest}."
        )
    return Photos(
        f"photos of {root.resolve().name}",
        root,
        calibration,
        [found.paths[index] for index in rest],
        found.labels[rest] if labels else None,
    )


def digests(paths: list[Path]) -> list[str]:
    """SHA-256 of each file."""
    return [file_digest(path) for path in paths]


def _readable(path: Path) -> bool:
    try:
        read_image(path, min_px=64)
    except ImageError:
        return False
    return True
