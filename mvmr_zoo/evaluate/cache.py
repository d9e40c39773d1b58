"""Features computed once: a second protocol on the same encoder and images reads no image.

The key is the hash of the weights, of the preprocessing and of the images. What the images hash to is remembered
by their files' paths, sizes and times of change, so that it too is found without reading them.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo.atomic import write_whole, written_whole
from mvmr_zoo.datasets import embed_images
from mvmr_zoo.home import zoo_home

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mvmr_zoo.datasets import ImageSet
    from mvmr_zoo.model import Model

VIEW = "centre"
"""What is seen of a photo: the preprocessing's centre crop."""


def cache_folder() -> Path:
    """Where features and hashes of images are kept; it may be removed at any time."""
    return zoo_home() / ".evaluation"


def cached_features(model: Model, data: ImageSet) -> NDArray[np.float32]:
    """The features of every image, not normalised: `(N, D)` float32, in the set's order.

    Raises:
        ImageError: an image cannot be read.
        DataError: a file cannot be read.
    """
    identity = " ".join((model.weights_digest, model.preprocess.digest, VIEW, images_digest(data)))
    path = cache_folder() / "features" / f"{hashlib.sha256(identity.encode()).hexdigest()}.npy"
    found = _load(path, len(data), model.card.embedding_dim)
    if found is not None:
        return found
    made = embed_images(model.engine, model.preprocess, data, range(len(data)), dim=model.card.embedding_dim)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as part, part.open("wb") as file:
        np.save(file, made)
    return made


def images_digest(data: ImageSet) -> str:
    """The set's fingerprint: from what is remembered where no file has changed, else from the images.

    Raises:
        DataError: a file cannot be read.
    """
    kind = f"{type(data).__name__} {len(data)} {data.describe(0)}"  # the first name, for names are part of the hash
    digest = hashlib.sha256(kind.encode("utf-8", "surrogateescape"))
    for path in data.files:
        status = path.stat()
        stamp = f"\0{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}\0"
        digest.update(os.fsencode(path.resolve()) + stamp.encode())
    rows = getattr(data, "rows", None)
    digest.update(b"" if rows is None else rows.tobytes())
    memory = cache_folder() / "images" / digest.hexdigest()
    if memory.exists():
        return memory.read_text()
    found = data.fingerprint
    memory.parent.mkdir(parents=True, exist_ok=True)
    write_whole(memory, found)
    return found


def _load(path: Path, rows: int, dim: int) -> NDArray[np.float32] | None:
    try:
        found: NDArray[np.float32] = np.load(path)
    except (OSError, ValueError, EOFError):  # not there, or cut short by a full disk
        return None
    return found if found.shape == (rows, dim) and found.dtype == np.float32 else None
