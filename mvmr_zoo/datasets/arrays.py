"""STL10 and CIFAR, read from the original binary files.

The Python versions of CIFAR are pickles, which are never opened here.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mvmr_zoo.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Records:
    """One file of fixed-size records.

    Args:
        path: Path of the file.
        before: Bytes of each record before its pixels.
        px: Side of the images.
        transposed: Columns come before rows, as in STL10.
    """

    path: Path
    before: int
    px: int
    transposed: bool = False

    @property
    def size(self) -> int:
        """Bytes of a record."""
        return self.before + 3 * self.px**2

    def read(self) -> NDArray[np.uint8]:
        """`(N, size)` uint8, memory-mapped. Raises DataError if the file is missing or truncated."""
        if not self.path.is_file():
            raise DataError(
                f"{self.path} is missing. Download the binary version of the data set, not the Python version."
            )
        length = self.path.stat().st_size
        if length == 0 or length % self.size:
            raise DataError(
                f"The size of {self.path} is {length} bytes; expected a positive multiple of {self.size}. "
                "Download it again."
            )
        return np.memmap(self.path, np.uint8, "r").reshape(-1, self.size)


@dataclass(frozen=True)
class ArrayImages:
    """An `ImageSet` of records.

    Args:
        name: Display name.
        class_names: Names of the labels.
        labels: `(N,)` int64, -1 where there is none.
        parts: The files, in order.
    """

    name: str
    class_names: list[str]
    labels: NDArray[np.int64]
    parts: tuple[Records, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def files(self) -> list[Path]:
        """The files of the parts."""
        return [part.path for part in self.parts]

    def image(self, index: int, *, min_px: int | None = None) -> Image.Image:
        """The RGB image `index`."""
        part = int(np.searchsorted(self._ends, index, side="right"))
        records, row = self.parts[part], index - (int(self._ends[part - 1]) if part else 0)
        pixels = self._arrays[part][row, records.before :].reshape(3, records.px, records.px)
        upright = pixels.transpose(2, 1, 0) if records.transposed else pixels.transpose(1, 2, 0)
        return Image.fromarray(np.ascontiguousarray(upright))

    def describe(self, index: int) -> str:
        """`image N`."""
        return f"image {index}"

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the files."""
        digest = hashlib.sha256()
        for array in self._arrays:
            digest.update(hashlib.sha256(array.data).digest())
        return digest.hexdigest()

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name, self.class_names, self.labels, self.parts)

    @functools.cached_property
    def _arrays(self) -> list[NDArray[np.uint8]]:
        return [part.read() for part in self.parts]

    @functools.cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.cumsum([len(array) for array in self._arrays])


def stl10(root: Path, split: str) -> ArrayImages:
    """STL10: `train`, `test`, `unlabeled` or `train+unlabeled`; 96 px."""
    base = _inside(root, "stl10_binary")
    stems = {
        "train": ["train"],
        "test": ["test"],
        "unlabeled": ["unlabeled"],
        "train+unlabeled": ["train", "unlabeled"],
    }
    labels, parts = [], []
    for stem in _of(stems, split, "stl10"):
        records = Records(base / f"{stem}_X.bin", 0, 96, transposed=True)
        count = len(records.read())
        parts.append(records)
        labels.append(np.full(count, -1, np.int64) if stem == "unlabeled" else _stl10_labels(base, stem, count))
    return ArrayImages(f"stl10:{split}", _names(base / "class_names.txt"), np.concatenate(labels), tuple(parts))


def cifar10(root: Path, split: str) -> ArrayImages:
    """CIFAR-10: `train` or `test`; 32 px."""
    base = _inside(root, "cifar-10-batches-bin")
    stems = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
    parts = tuple(Records(base / f"{stem}.bin", 1, 32) for stem in _of(stems, split, "cifar10"))
    labels = np.concatenate([part.read()[:, 0] for part in parts]).astype(np.int64)
    return _checked(ArrayImages(f"cifar10:{split}", _names(base / "batches.meta.txt"), labels, parts))


def cifar100(root: Path, split: str, *, coarse: bool = False) -> ArrayImages:
    """CIFAR-100: `train` or `test`; 32 px; its 100 fine classes, or its 20 coarse ones."""
    base = _inside(root, "cifar-100-binary")
    stems = {"train": ["train"], "test": ["test"]}
    name = "cifar20" if coarse else "cifar100"
    parts = tuple(Records(base / f"{stem}.bin", 2, 32) for stem in _of(stems, split, name))
    labels = parts[0].read()[:, 0 if coarse else 1].astype(np.int64)
    names = _names(base / f"{'coarse' if coarse else 'fine'}_label_names.txt")
    return _checked(ArrayImages(f"{name}:{split}", names, labels, parts))


def cifar20(root: Path, split: str) -> ArrayImages:
    """CIFAR-100 with its 20 coarse classes."""
    return cifar100(root, split, coarse=True)


NAMED: dict[str, Callable[[Path, str], ArrayImages]] = {
    "stl10": stl10,
    "cifar10": cifar10,
    "cifar20": cifar20,
    "cifar100": cifar100,
}
"""Data sets by name: root folder and split to images."""


def _inside(root: Path, folder: str) -> Path:
    """The folder of the data set: below `root`, or `root` itself."""
    return root / folder if (root / folder).is_dir() else root


def _of(stems: dict[str, list[str]], split: str, name: str) -> list[str]:
    if split not in stems:
        raise DataError(f"{name} has no split {split!r}; expected one of {', '.join(stems)}.")
    return stems[split]


def _stl10_labels(base: Path, stem: str, count: int) -> NDArray[np.int64]:
    path = base / f"{stem}_y.bin"
    if not path.is_file():
        raise DataError(f"{path} is missing. Download the binary version of the data set again.")
    labels = np.fromfile(path, np.uint8).astype(np.int64) - 1
    if len(labels) != count or (count and not 0 <= labels.min() <= labels.max() < 10):
        raise DataError(
            f"{path} contains {len(labels)} labels for {count} images, or a label outside 1 to 10. Download it again."
        )
    return labels


def _names(path: Path) -> list[str]:
    if not path.is_file():
        raise DataError(f"{path} is missing. Download the binary version of the data set, not the Python version.")
    return path.read_text(encoding="utf-8").split()


def _checked(images: ArrayImages) -> ArrayImages:
    if images.labels.max(initial=0) >= len(images.class_names):
        raise DataError(
            f"{images.parts[0].path} contains the label {images.labels.max()}; expected labels 0 to "
            f"{len(images.class_names) - 1}."
        )
    return images
