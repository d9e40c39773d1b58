"""Labeled photos that are not trained on, and their vectors."""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.gpu_training.figures import Vectors
from mvmr_zoo.datasets import ImageSet, open_images
from training.config import ViewConfig
from training.data import plain_view
from training.module import MVMRModule

_BATCH = 256


class DevSet(NamedTuple):
    """A dev set as the finished encoder sees it: `(N, 3, px, px)` uint8 and labels `(N,)`."""

    name: str
    pixels: Tensor
    labels: NDArray[np.int64]


def dev_sets(folder: Path, views: ViewConfig) -> list[DevSet]:
    """The dev sets in the subfolders of `folder`."""
    found = []
    for path in sorted(each for each in folder.iterdir() if each.is_dir()):
        images = open_images(f"parquet:{path}")
        with ThreadPoolExecutor() as pool:
            crops = list(pool.map(functools.partial(_plain, views, images), range(len(images))))
        found.append(DevSet(path.name, torch.stack(crops), images.labels))
    return found


def _plain(views: ViewConfig, images: ImageSet, row: int) -> Tensor:
    return plain_view(views, images.image(row), views.encoder_px)


@torch.no_grad()
def dev_vectors(module: MVMRModule, sets: list[DevSet]) -> Vectors:
    """The features and the projector's outputs. They have the inner products of the finished encoder's `aligned`."""
    was, device = module.training, next(module.parameters()).device
    module.eval()
    found: Vectors = {}
    for each in sets:
        features, outputs = [], []
        for part in each.pixels.split(_BATCH):
            features.append(module.encoder(module.normalize(part.to(device))).float())
            outputs.append(module.projector(features[-1]).float())
        named = {"features": features, "aligned": outputs}
        found[each.name] = {name: torch.cat(parts).cpu().numpy() for name, parts in named.items()}
    module.train(was)
    return found
