"""Labeled and unlabeled image sets with one protocol.

image_set   ImageSet, the protocol
folder      a folder of photos
parquet     Hugging Face Parquet files
arrays      STL10 and CIFAR in their authors' binary files
voc         PASCAL VOC 2007, whose photos may show several classes
embed       their features
splits      train and test images of an evaluation, by name
download    data sets fetched from their authors
subset      some images of a set
joined      several sets as one
identity    a quick identity, from file names, sizes and times
"""

from __future__ import annotations

import os
from pathlib import Path

from mvmr_zoo.datasets.arrays import NAMED
from mvmr_zoo.datasets.embed import embed_images
from mvmr_zoo.datasets.folder import ImageFolder, image_folder
from mvmr_zoo.datasets.identity import stat_fingerprint
from mvmr_zoo.datasets.image_set import ImageSet
from mvmr_zoo.datasets.joined import JoinedImages
from mvmr_zoo.datasets.parquet import parquet_images
from mvmr_zoo.datasets.samples import make_samples, make_view, photograph_of, photographs, write_halves
from mvmr_zoo.datasets.splits import Splits, open_splits
from mvmr_zoo.datasets.subset import Subset, held_out_rows
from mvmr_zoo.datasets.voc import DIFFICULT, PRESENT, VocImages
from mvmr_zoo.errors import DataError, closest

__all__ = [
    "DIFFICULT",
    "NAMED",
    "PRESENT",
    "ImageFolder",
    "ImageSet",
    "JoinedImages",
    "Splits",
    "Subset",
    "VocImages",
    "embed_images",
    "held_out_rows",
    "image_folder",
    "make_samples",
    "make_view",
    "open_images",
    "open_splits",
    "photograph_of",
    "photographs",
    "stat_fingerprint",
    "write_halves",
]


def open_images(spec: str, root: str | os.PathLike[str] | None = None) -> ImageSet:
    """Open the images of a spec.

    Args:
        spec: A folder's path or `folder:PATH`; `parquet:PATH`, or `parquet:PATH#COLUMN` to choose the
            labels; `stl10`, `cifar10`, `cifar20`, `cifar100`, each with `:SPLIT` where it is not `train`.
        root: Folder of named data sets.

    Raises:
        DataError: The spec is not a data source, or its files are missing or damaged.
    """
    kind, _, rest = spec.partition(":")
    if kind == "folder":
        return image_folder(rest)
    if kind == "parquet":
        path, _, column = rest.partition("#")
        return parquet_images(path, column or None)
    if kind in NAMED:
        if root is None:
            raise DataError(
                f"{spec} is a named data set. Set data.root (or --data-root) to the folder that contains its files."
            )
        return NAMED[kind](Path(root), rest or "train")
    if Path(spec).is_dir():
        return image_folder(spec)
    near = closest(kind, NAMED)[:1]
    hint = f" Closest: {near[0]}." if near else ""
    raise DataError(
        f"{spec} is not a valid data source. Expected a folder, a named data set ({', '.join(NAMED)}), folder:PATH or "
        f"parquet:PATH.{hint}"
    )
