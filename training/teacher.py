"""A teacher's embeddings of every image: asked once, or read from a folder of embeddings made before.

The teacher sees the plain photo in its own preprocessing, so its answer never changes during a run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mvmr_zoo
from mvmr_zoo.datasets import ImageFolder, ImageSet, embed_images
from mvmr_zoo.embeddings import read_embeddings
from mvmr_zoo.errors import DataError
from training.cache import CacheConfig, Producer, cached_rows

PRECOMPUTED = "embeddings:"


def teacher_rows(spec: str, data: ImageSet, folder: Path, config: CacheConfig) -> NDArray[np.floating[Any]]:
    """The teacher's embeddings `(N, T)`, not normalised, row i of image i.

    Args:
        spec: a model spec, embedded by its fastest engine; or `embeddings:FOLDER`.
        data: what it is shown.
        folder: of caches.
        config: how its answers are kept; unused for `embeddings:FOLDER`, which is a cache itself.

    Raises:
        UnknownModelError, CheckpointError, MissingDependencyError: the teacher is not to be had.
        DataError: the cache or the folder does not fit the images.
        ImageError: an image cannot be read.
    """
    if spec.startswith(PRECOMPUTED):
        return _precomputed(Path(spec.removeprefix(PRECOMPUTED)), data)
    model = mvmr_zoo.load(spec)
    digest = hashlib.sha256(f"{model.weights_digest} {model.preprocess.digest}".encode()).hexdigest()

    def compute(indices: NDArray[np.int64]) -> NDArray[np.float32]:
        return embed_images(model.engine, model.preprocess, data, indices, dim=model.card.embedding_dim)

    producer = Producer(name=model.card.name, digest=digest, dim=model.card.embedding_dim, compute=compute)
    return cached_rows(folder, data, producer, config)


def _precomputed(folder: Path, data: ImageSet) -> NDArray[np.float32]:
    if not isinstance(data, ImageFolder):
        raise DataError(f"{data.name} has no file names; embeddings: teaches on a folder of photos only.")
    found = read_embeddings(folder)
    names = [data.describe(index) for index in range(len(data))]
    position = _positions(folder, enumerate(found.image_paths), set(names))
    if not position:  # absolute paths, as most programs write them
        depths = {name.count("/") + 1 for name in names}
        tails = ((row, "/".join(path.split("/")[-n:])) for row, path in enumerate(found.image_paths) for n in depths)
        position = _positions(folder, tails, set(names))
    missing = [name for name in names if name not in position]
    if missing:
        raise DataError(
            f"{folder} has no embedding for {len(missing)} of {len(names)} images of {data.name}, first {missing[0]}. "
            "Its image_path must be the path below the data set's folder, or end with it."
        )
    rows = found.rows(np.asarray([position[name] for name in names], np.int64))
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise DataError(f"{folder}: the embedding of {names[int(np.argmin(finite))]} is not finite.")
    return rows


def _positions(folder: Path, paths: Iterable[tuple[int, str]], wanted: set[str]) -> dict[str, int]:
    """The row of each wanted name."""
    found: dict[str, int] = {}
    for row, name in paths:
        if name in wanted and found.setdefault(name, row) != row:
            raise DataError(f"{folder} has two embeddings for {name}. Give a folder made of these images alone.")
    return found
