"""A teacher's embeddings, computed once and kept on disk.

The teacher sees the plain photo in its own preprocessing, so its answer never changes during a run.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

import mvmr_zoo
from mvmr_zoo.datasets import LabelledPhotos
from mvmr_zoo.errors import DataError
from training.photos import fingerprint


def teacher_embeddings(spec: str, photos: LabelledPhotos, cache: Path) -> NDArray[np.float32]:
    """The teacher's embeddings `(N, T)` float32, not normalised, row i of photo i.

    Args:
        spec: the teacher's model spec.
        photos: what it is shown.
        cache: folder of cached embeddings; a file there is named by the photos', the
            preprocessing's and the weights' hashes, so another teacher or a changed photo misses it.

    Raises:
        DataError: a file cannot be read, or the cached embeddings do not fit.
        ImageError: a photo cannot be decoded.
    """
    model = mvmr_zoo.load(spec)
    identity = {
        "photos": fingerprint(photos),
        "preprocess": model.preprocess.digest,
        "weights": model.weights_digest,
    }
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
    path = cache / f"{spec.replace(':', '-').replace('/', '-')}-{key}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=cache, suffix=".part", delete=False) as file:
            np.save(file, np.concatenate(list(_embed(model, photos, spec))))
        os.replace(file.name, path)
    vectors: NDArray[np.float32] = np.load(path, mmap_mode="r")
    if len(vectors) != len(photos):
        raise DataError(f"{path} holds {len(vectors)} rows for {len(photos)} photos. Delete it and run again.")
    return vectors


def _embed(model: mvmr_zoo.Model, photos: LabelledPhotos, spec: str) -> Iterator[NDArray[np.float32]]:
    size = 64
    starts = range(0, len(photos), size)
    for start in track(starts, description=f"{spec} looks at {len(photos)} photos, once"):
        yield model.embed(photos.paths[start : start + size], normalize=False)
