"""The photos of a run: what is trained on, what is held out, and the views of each step."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from mvmr_zoo.datasets import LabelledPhotos
from mvmr_zoo.errors import DataError, ImageError
from mvmr_zoo.images import file_reason, read_image
from training.config import ViewConfig
from training.plan import Draw
from training.views import augmentation, plain_view, seeded_view


class Split(NamedTuple):
    """Indices into the photos: what is trained on, and what the monitor holds out."""

    train: NDArray[np.int64]
    held_out: NDArray[np.int64]


def stratified_split(labels: NDArray[np.int64], share: float, seed: int) -> Split:
    """Hold out `share` of every class, at random but fixed by the seed."""
    random = np.random.default_rng((seed, 2))
    held_out: list[NDArray[np.int64]] = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        held_out.append(random.permutation(members)[: round(share * len(members))])
    chosen = np.sort(np.concatenate(held_out))
    return Split(np.setdiff1d(np.arange(len(labels)), chosen), chosen)


def fingerprint(photos: LabelledPhotos) -> str:
    """SHA-256 of every photo's path below the root and content: the identity of a data set."""
    digest = hashlib.sha256()
    for path in photos.paths:
        digest.update(path.relative_to(photos.root).as_posix().encode("utf-8", "surrogateescape"))
        try:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError as error:
            raise DataError(f"{path} cannot be read: {file_reason(error)}.") from None
    return digest.hexdigest()


class Example(NamedTuple):
    """A photo's views and its teacher embedding; collated, each gains a leading N.

    `augmented` and `plain` are `(3, px, px)` float32; `plain` is empty where no term reads it.
    """

    augmented: Tensor
    plain: Tensor
    teacher: Tensor


@dataclass
class Views(Dataset[Example]):
    """Maps a `Draw` to an `Example`.

    Args:
        paths: the photos that are trained on.
        teacher: `(N, T)` float32, their centred teacher embeddings.
        config: the augmentation.
        with_plain: whether the plain view is wanted.
    """

    paths: list[Path]
    teacher: NDArray[np.float32]
    config: ViewConfig
    with_plain: bool

    def __getitem__(self, draw: Draw) -> Example:
        """The views of one photo, fixed by the draw's seed."""
        min_px = int(draw.px / self.config.min_scale**0.5)
        try:
            image = read_image(self.paths[draw.photo], min_px=min_px)
        except ImageError as error:  # DataError can cross from a worker to the trainer
            raise DataError(str(error)) from None
        augmented = seeded_view(_augmentation(self.config, draw.px), image, draw.seed)
        plain = plain_view(image, draw.px) if self.with_plain else torch.empty(0)
        return Example(augmented, plain, torch.from_numpy(self.teacher[draw.photo]))


_augmentation = functools.cache(augmentation)
