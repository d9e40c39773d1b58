"""Train and test images of an evaluation, by name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo.datasets.arrays import NAMED
from mvmr_zoo.datasets.folder import image_folder
from mvmr_zoo.datasets.parquet import parquet_images
from mvmr_zoo.datasets.subset import Subset
from mvmr_zoo.errors import DataError, closest

if TYPE_CHECKING:
    from mvmr_zoo.datasets.base import ImageSet

TEST_SHARE = 0.2
"""Of each class, where a folder has no split of its own."""

_KNOWN: tuple[str, ...] = (*NAMED, "imagenet", "imagenette")

_TRAIN, _TEST = ("train", "training"), ("test", "val", "validation", "valid")


@dataclass(frozen=True)
class Splits:
    """Labelled images to fit on and to measure on.

    Args:
        name: of the data set.
        train: to fit on.
        test: to measure on; its class names are those of `train`.
    """

    name: str
    train: ImageSet
    test: ImageSet


def open_splits(spec: str, root: str | os.PathLike[str] | None = None, *, seed: int = 0) -> Splits:
    """The splits of a spec.

    Args:
        spec: `stl10`, `cifar10`, `cifar20`, `cifar100` in their authors' binary files; `imagenet`, `imagenette` as
            folders; each below `root`, or in a folder of its name there, where Hugging Face Parquet files do too.
            Or `folder:PATH`, with `train` and `val` or `test` in it, else split by `seed`, a fifth of each class to
            test; or `parquet:PATH`, a folder of `train-*.parquet` and `test-*.parquet`.
        root: where named data sets lie.
        seed: of the split that a folder without one gets.

    Raises:
        DataError: nothing answers to the spec; its files are missing or damaged; a split has no labels, or the two
            have other classes.
    """
    kind, separator, rest = spec.partition(":")
    if kind == "folder" and separator:
        return _checked(_of_folder(Path(rest), Path(rest).resolve().name, seed))
    if kind == "parquet" and separator:
        return _checked(_of_parquet(Path(rest), Path(rest).resolve().name))
    if spec in _KNOWN:
        if root is None:
            raise DataError(f"{spec} is a data set's name; say where its files lie, with --data-root.")
        return _checked(_named(spec, Path(root), seed))
    if Path(spec).is_dir():
        return _checked(_of_folder(Path(spec), Path(spec).resolve().name, seed))
    near = closest(kind, _KNOWN)
    hint = f" Closest: {', '.join(near)}." if near else ""
    raise DataError(f"{spec} is no data set's name ({', '.join(_KNOWN)}), folder:PATH or parquet:PATH.{hint}")


def _named(name: str, root: Path, seed: int) -> Splits:
    folders = [root / each for each in (name, f"{name}2-160", f"{name}2-320", f"{name}2")]
    own = next((each for each in folders if each.is_dir()), root)
    if list(own.glob("*.parquet")):
        return _of_parquet(own, name)
    if name in NAMED:
        return Splits(name, NAMED[name](root, "train"), NAMED[name](root, "test"))
    if _child(own, _TRAIN) is None:
        raise DataError(f"{own} holds no {name}: expected the folders train and val, one subfolder a class.")
    return _of_folder(own, name, seed)


def _of_folder(base: Path, name: str, seed: int) -> Splits:
    train, test = _child(base, _TRAIN), _child(base, _TEST)
    if train is not None and test is not None:
        return Splits(name, image_folder(train), image_folder(test))
    images = image_folder(base)
    random = np.random.default_rng(seed)
    to_test = np.zeros(len(images), bool)
    for label in np.unique(images.labels):
        rows = random.permutation(np.flatnonzero(images.labels == label))
        to_test[rows[: round(TEST_SHARE * len(rows))]] = True
    return Splits(name, Subset(images, np.flatnonzero(~to_test)), Subset(images, np.flatnonzero(to_test)))


def _of_parquet(base: Path, name: str) -> Splits:
    parts = {}
    for kind, stems in (("train", _TRAIN), ("test", _TEST)):
        patterns = [f"{stem}*.parquet" for stem in stems]
        pattern = next((each for each in patterns if list(base.glob(each))), None)
        if pattern is None:
            raise DataError(f"{base} holds no {' or '.join(patterns)}.")
        parts[kind] = parquet_images(base, pattern=pattern)
    return Splits(name, parts["train"], parts["test"])


def _child(base: Path, names: tuple[str, ...]) -> Path | None:
    return next((base / name for name in names if (base / name).is_dir()), None)


def _checked(splits: Splits) -> Splits:
    for what, images in (("train", splits.train), ("test", splits.test)):
        if not len(images):
            raise DataError(f"{splits.name}: the {what} split is empty.")
        if not images.class_names or (images.labels < 0).any():
            raise DataError(f"{splits.name}: the {what} split has images without a class; expected one for each.")
    if splits.train.class_names != splits.test.class_names:
        other = sorted(set(splits.test.class_names) ^ set(splits.train.class_names))
        raise DataError(
            f"{splits.name}: train and test have other classes, first {(other or splits.test.class_names)[0]}; "
            "expected the same ones in the same order."
        )
    return splits
