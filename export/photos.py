"""Calibration and measurement photos: from a folder, or the bundled sample photos."""

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
"""Origin of the photos in a parity report if the user passes no folder."""

MIN_PHOTOS = 64
"""Minimum number of photos for a parity report."""

MIN_LABELED_PHOTOS = 2000
"""Minimum number of photos for a k-NN accuracy drop. With fewer photos, the drop is within the noise."""

CALIBRATION_STEP = 8
"""The number of calibration photos is a multiple of this, because they are processed in batches of this size."""

_MAX_CALIBRATION = 160
_MAX_MEASURED = 512


@dataclass(frozen=True)
class Photos:
    """Calibration photos and separate measurement photos.

    Args:
        source: Description of the origin.
        root: Folder that contains all photos.
        calibration: Calibration photos.
        measured: Measurement photos.
        labels: Class labels of the measurement photos `(len(measured),)` int64; None if labels are not used.
    """

    source: str
    root: Path
    calibration: list[Path]
    measured: list[Path]
    labels: NDArray[np.int64] | None = None

    def names(self, count: int) -> list[str]:
        """Return the paths of the first `count` measurement photos, relative to the root."""
        return [path.relative_to(self.root).as_posix() for path in self.measured[:count]]


def sample_photos(folder: Path) -> Photos:
    """Generate views of the photographs bundled with scikit-image and scikit-learn.

    The views of every third photograph are for calibration and all others for measurement.

    Args:
        folder: Folder to write the photos to. It must exist as long as the photos are used.

    Raises:
        MissingDependencyError: scikit-image or scikit-learn is not installed.
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
    """Select photos from a folder and its subfolders, in an order drawn from a fixed seed.

    Unreadable photos are skipped. Copies of calibration photos are excluded from the measurement.

    Args:
        root: Folder of photos. With `labels`, it has one subfolder per class.
        labels: Use all photos and their class labels. Otherwise at most 512 photos are measured.

    Raises:
        DataError: The folder does not exist, has too few photos, or has no subfolders although `labels` is set.
    """
    images = image_folder(root)
    if labels and not images.class_names:
        raise DataError(f"{root} has no subfolders. --labels needs one subfolder per class.")
    max_count = len(images) if labels else _MAX_CALIBRATION + _MAX_MEASURED
    readable: list[int] = []
    for index in np.random.default_rng(0).permutation(len(images)):
        if len(readable) == max_count:
            break
        if _is_readable(images.paths[index]):
            readable.append(index)
    count = min(_MAX_CALIBRATION, len(readable) // 4) // CALIBRATION_STEP * CALIBRATION_STEP
    calibration = [images.paths[index] for index in readable[:count]]
    calibration_digests = set(digests(calibration))
    measured = [index for index in readable[count:] if file_digest(images.paths[index]) not in calibration_digests]
    min_count = MIN_LABELED_PHOTOS if labels else MIN_PHOTOS
    if len(measured) < min_count:
        raise DataError(
            f"{root} has {len(readable)} readable photos, and {len(measured)} of them are left after calibration. "
            f"Expected at least {min_count}."
        )
    return Photos(
        f"photos of {root.resolve().name}",
        root,
        calibration,
        [images.paths[index] for index in measured],
        images.labels[measured] if labels else None,
    )


def digests(paths: list[Path]) -> list[str]:
    """Return the SHA-256 of each file."""
    return [file_digest(path) for path in paths]


def _is_readable(path: Path) -> bool:
    try:
        read_image(path, min_px=64)
    except ImageError:
        return False
    return True
