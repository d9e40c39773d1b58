"""Train and test images of an evaluation, by name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo.datasets.arrays import NAMED
from mvmr_zoo.datasets.download import SOURCES, fetch
from mvmr_zoo.datasets.folder import image_folder
from mvmr_zoo.datasets.parquet import parquet_images
from mvmr_zoo.datasets.subset import Subset, held_out_rows
from mvmr_zoo.datasets.voc import VocImages, voc07_images
from mvmr_zoo.errors import DataError, closest

if TYPE_CHECKING:
    from mvmr_zoo.datasets.image_set import ImageSet

TEST_SHARE = 0.2
"""Fraction of each class for testing, if a folder has no splits."""

_KNOWN: tuple[str, ...] = (*NAMED, "imagenet", "imagenette", "voc07")

_TRAIN, _TEST = ("train", "training"), ("test", "val", "validation", "valid")


@dataclass(frozen=True)
class Splits:
    """Labeled images to fit on and to measure on.

    Args:
        name: Name of the data set.
        train: Images to fit on.
        test: Images to measure on. They have the class names of `train`.
    """

    name: str
    train: ImageSet
    test: ImageSet

    @property
    def several(self) -> bool:
        """Whether a photo may show several classes: both sets are `VocImages`."""
        return isinstance(self.train, VocImages) and isinstance(self.test, VocImages)


def open_splits(
    spec: str, root: str | os.PathLike[str] | None = None, *, seed: int = 0, download: bool = False
) -> Splits:
    """The splits of a spec.

    Args:
        spec: `stl10`, `cifar10`, `cifar20`, `cifar100` in their authors' binary files; `imagenet`, `imagenette` as
            folders; `voc07` as its authors pack it; each below `root`, or in a folder of its name there, where Hugging
            Face Parquet files do too, but for `voc07`.
            Or `folder:PATH`, with `train` and `val` or `test` in it, else split by `seed`, a fifth of each class to
            test; or `parquet:PATH`, a folder of `train-*.parquet` and `test-*.parquet`.
        root: Folder of named data sets.
        seed: Random seed of the split of a folder that has none.
        download: Fetch a named data set that is not there into `root`.

    Raises:
        DataError: The spec is not a data source; its files are missing or damaged; a split has no labels, or the two
            have other classes; a download failed.
        MissingDependencyError: torchvision, which downloads, is not installed.
    """
    kind, separator, rest = spec.partition(":")
    if not (rest if separator else spec).strip():
        raise DataError(
            f"--data is {spec!r}; expected the name of a data set ({', '.join(_KNOWN)}), folder:PATH or parquet:PATH."
        )
    if kind == "folder" and separator:
        return _checked(_of_folder(Path(rest), Path(rest).resolve().name, seed))
    if kind == "parquet" and separator:
        return _checked(_of_parquet(Path(rest), Path(rest).resolve().name))
    if spec in _KNOWN:
        if root is None:
            raise DataError(
                f"{spec} is a named data set. Set data.root (or --data-root) to the folder that contains its files."
            )
        return _checked(_named(spec, Path(root), seed, download))
    if Path(spec).is_dir():
        return _checked(_of_folder(Path(spec), Path(spec).resolve().name, seed))
    near = closest(kind, _KNOWN)
    hint = f" Closest: {', '.join(near)}." if near else ""
    raise DataError(f"{spec} is not a data set name ({', '.join(_KNOWN)}), and not folder:PATH or parquet:PATH.{hint}")


def _named(name: str, root: Path, seed: int, download: bool) -> Splits:
    own = next((path for path in _own_folders(name, root) if path.is_dir()), root)
    if name != "voc07" and list(own.glob("*.parquet")):
        return _of_parquet(own, name)
    try:
        return _as_packed(name, root, seed)
    except DataError as error:
        source = SOURCES.get(name)
        if source is not None and (target := root / source.folder).exists():
            raise DataError(f"{error} Move {target} away and use `--download` to fetch it again.") from None
        if not download:
            raise DataError(f"{error} Use `--download` to fetch it." if source else str(error)) from None
    fetch(name, root)
    return _as_packed(name, root, seed)


def _as_packed(name: str, root: Path, seed: int) -> Splits:
    """A named data set as its authors pack it. Raises DataError if it is missing or damaged."""
    if name == "voc07":
        return Splits(name, voc07_images(root, "trainval"), voc07_images(root, "test"))
    if name in NAMED:
        straight = (root / SOURCES[name].folder).is_dir() or not (root / name).is_dir()
        base = root if straight else root / name
        return Splits(name, NAMED[name](base, "train"), NAMED[name](base, "test"))
    for folder in (*_own_folders(name, root), root):
        if _child(folder, _TRAIN) is not None and _child(folder, _TEST) is not None:
            return _of_folder(folder, name, seed)
    raise DataError(
        f"{root} does not contain {name}. Expected the folders train and val, with one subfolder per class."
    )


def _own_folders(name: str, root: Path) -> list[Path]:
    """Possible folders of a data set below `root`."""
    return [root / each for each in (name, f"{name}2-160", f"{name}2-320", f"{name}2")]


def _of_folder(base: Path, name: str, seed: int) -> Splits:
    train, test = _child(base, _TRAIN), _child(base, _TEST)
    if train is not None and test is not None:
        return Splits(name, image_folder(train), image_folder(test))
    if train is not None or test is not None:
        lacks = " or ".join(_TEST if train is not None else _TRAIN)
        raise DataError(f"{base} contains {(train or test or base).name} but not {lacks}. Provide both or neither.")
    images = image_folder(base)
    to_test = held_out_rows(images.labels, TEST_SHARE, seed)
    return Splits(name, Subset(images, np.flatnonzero(~to_test)), Subset(images, np.flatnonzero(to_test)))


def _of_parquet(base: Path, name: str) -> Splits:
    parts = {}
    for kind, stems in (("train", _TRAIN), ("test", _TEST)):
        patterns = [f"{stem}*.parquet" for stem in stems]
        pattern = next((pattern for pattern in patterns if list(base.glob(pattern))), None)
        if pattern is None:
            raise DataError(f"{base} contains no {' or '.join(patterns)}.")
        parts[kind] = parquet_images(base, pattern=pattern)
    return Splits(name, parts["train"], parts["test"])


def _child(base: Path, names: tuple[str, ...]) -> Path | None:
    return next((base / name for name in names if (base / name).is_dir()), None)


def _checked(splits: Splits) -> Splits:
    for what, images in (("train", splits.train), ("test", splits.test)):
        if not len(images):
            raise DataError(f"{splits.name}: the {what} split is empty.")
        if not _has_classes(images):
            raise DataError(f"{splits.name}: the {what} split has images without a class; expected one for each.")
    if splits.train.class_names != splits.test.class_names:
        other = sorted(set(splits.test.class_names) ^ set(splits.train.class_names))
        difference = f"different classes, for example {other[0]}" if other else "different orders of their classes"
        raise DataError(
            f"{splits.name}: train and test have {difference}. Expected the same classes in the same order."
        )
    return splits


def _has_classes(images: ImageSet) -> bool:
    """Whether the classes of every image are known."""
    if isinstance(images, VocImages):
        return images.presence.shape == (len(images), len(images.class_names))
    return bool(images.class_names) and bool((images.labels >= 0).all())
