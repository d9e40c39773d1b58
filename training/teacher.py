"""A teacher's embeddings, computed once and kept on disk.

The teacher sees the plain photo in its own preprocessing, so its answer never changes during a run.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import mvmr_zoo
from mvmr_zoo.datasets import LabelledPhotos
from mvmr_zoo.errors import DataError
from mvmr_zoo.progress import progress_bar
from training.photos import fingerprint

_BATCH = 64


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
        part = path.with_suffix(f".{os.getpid()}.part")
        vectors = _embed(model, photos, spec)
        with part.open("wb") as file:
            np.save(file, vectors)
        part.replace(path)
    try:
        cached: NDArray[np.float32] = np.load(path, mmap_mode="r")
    except ValueError:
        raise DataError(f"{path} is damaged. Delete it and run again.") from None
    if len(cached) != len(photos):
        raise DataError(f"{path} holds {len(cached)} rows for {len(photos)} photos. Delete it and run again.")
    return cached


def _embed(model: mvmr_zoo.Model, photos: LabelledPhotos, spec: str) -> NDArray[np.float32]:
    batches = []
    with progress_bar(f"{spec} looks at the photos, once") as progress:
        for start in range(0, len(photos), _BATCH):
            batches.append(model.embed(photos.paths[start : start + _BATCH], normalize=False))
            progress(start + len(batches[-1]), len(photos))
    return np.concatenate(batches)
