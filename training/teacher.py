"""A teacher's embeddings of every image: asked once, or read from a folder of embeddings made before.

The teacher sees the plain photo in its own preprocessing, so its answer never changes during a run.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mvmr_zoo
from mvmr_zoo.datasets import ImageSet
from mvmr_zoo.embeddings import read_embeddings
from mvmr_zoo.errors import DataError
from mvmr_zoo.features import embed
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
        return embed(
            model.engine,
            model.preprocess,
            (int(index) for index in indices),
            dim=model.card.embedding_dim,
            skip=False,
            normalize=False,
            decode=lambda index, min_px: data.image(index, min_px=min_px),
        ).vectors

    producer = Producer(name=model.card.name, digest=digest, dim=model.card.embedding_dim, compute=compute)
    return cached_rows(folder, data, producer, config)


def _precomputed(folder: Path, data: ImageSet) -> NDArray[np.float32]:
    found = read_embeddings(folder)
    position = {path: row for row, path in enumerate(found.image_paths)}
    names = [data.describe(index) for index in range(len(data))]
    if not any(name in position for name in names):  # absolute paths, as most programs write them
        depth = {name.count("/") + 1 for name in names}
        position = {"/".join(path.split("/")[-n:]): row for n in depth for path, row in position.items()}
    missing = [name for name in names if name not in position]
    if missing:
        raise DataError(
            f"{folder} has no embedding for {len(missing)} of {len(names)} images of {data.name}, first {missing[0]}. "
            "Its image_path must be the path below the data set's folder, or end with it."
        )
    return found.rows(np.asarray([position[name] for name in names], np.int64))
