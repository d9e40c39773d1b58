"""Cached features, so that a second protocol on the same encoder and images does not read the images again.

The cache key consists of the hashes of the encoder's output and of the preprocessing, the view, and the hash of the
images. The hash of the images is cached by the paths, sizes and modification times of their files.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo._io import write_whole, written_whole
from mvmr_zoo.datasets import Splits, embed_images
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.evaluate.views import TEN_CROPS
from mvmr_zoo.inference import DecodedImage, embed
from mvmr_zoo.models import zoo_home

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mvmr_zoo.datasets import ImageSet
    from mvmr_zoo.evaluate.views import View
    from mvmr_zoo.inference import Model


def cache_folder() -> Path:
    """Folder of cached features and hashes of images. It can be removed at any time."""
    return zoo_home() / ".evaluation"


@dataclass(frozen=True)
class HashedSplits(Splits):
    """Splits with the fingerprints of their images, which cache keys and reports contain.

    Args:
        train_digest: `images_digest` of `train`.
        test_digest: `images_digest` of `test`.
    """

    train_digest: str
    test_digest: str


def hash_splits(splits: Splits) -> HashedSplits:
    """Compute the fingerprints of the images of splits. Raises DataError if a file cannot be read."""
    return HashedSplits(splits.name, splits.train, splits.test, images_digest(splits.train), images_digest(splits.test))


def features_of_train(model: Model, splits: HashedSplits, view: View | None = None) -> NDArray[np.float32]:
    """Vectors of the images of train. See `cached_features`."""
    return cached_features(model, splits.train, splits.train_digest, view)


def features_of_test(model: Model, splits: HashedSplits, view: View | None = None) -> NDArray[np.float32]:
    """Vectors of the images of test. See `cached_features`."""
    return cached_features(model, splits.test, splits.test_digest, view)


def cached_features(model: Model, data: ImageSet, digest: str, view: View | None = None) -> NDArray[np.float32]:
    """Vectors of all images, `(N, D)` float32, not normalized.

    Vectors of `aligned` are computed from cached features, so each image is encoded once for both outputs.

    Args:
        model: Encoder.
        data: Images.
        digest: `images_digest` of the images.
        view: Crop of each image. None is what `Model.embed` gives the encoder.

    Raises:
        ConfigError: There is a view, but the encoder crops photos itself.
        ImageError: An image cannot be read.
        DataError: A file cannot be read.
    """
    if model.output == "aligned" and model.alignment is not None and model.features_engine is not None:
        features = cached_features(model.with_features(), data, digest, view)
        return np.asarray(features @ model.alignment.matrix[: model.dim].T, np.float32)
    identity = " ".join((model.vectors_digest, model.preprocess.digest, _name(model, view), digest))
    path = cache_folder() / "features" / f"{hashlib.sha256(identity.encode()).hexdigest()}.npy"
    found = _load(path, len(data), model.dim)
    if found is not None:
        return found
    made = _features(model, data, view)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as part, part.open("wb") as file:
        np.save(file, made)
    return made


def ten_crop_features(model: Model, splits: HashedSplits) -> NDArray[np.float32]:
    """Mean features of the ten crops of each image of test, `(N, D)` float32. See `cached_features`."""
    total = np.zeros((len(splits.test), model.dim), np.float32)
    for view in TEN_CROPS:
        total += features_of_test(model, splits, view)
    return total / np.float32(len(TEN_CROPS))


def crops_photos(model: Model) -> bool:
    """Whether the encoder crops photos itself, so that it cannot be given another crop."""
    return model.engine.reads == "photo"


def _name(model: Model, view: View | None) -> str:
    """What the encoder sees, for the cache key."""
    if view is not None:
        return view.name
    return "photo" if crops_photos(model) else "center"


def _features(model: Model, data: ImageSet, view: View | None) -> NDArray[np.float32]:
    rows = range(len(data))
    if view is None:
        return embed_images(model.engine, model.preprocess, data, rows, dim=model.dim)
    if crops_photos(model):
        raise ConfigError(
            f"{model.card.name} crops photos itself, so it cannot be evaluated on other crops. Evaluate its checkpoint "
            "instead."
        )
    cropped = replace(model.preprocess, resize_px=model.preprocess.crop_px)  # the view is the crop

    def decode(row: int, _: int) -> DecodedImage:
        image = data.image(row, min_px=view.min_px(model.preprocess))
        return DecodedImage(view(image, model.preprocess, row))

    return embed(model.engine, cropped, rows, dim=model.dim, skip=False, normalize=False, decode=decode).vectors


def images_digest(data: ImageSet) -> str:
    """The fingerprint of a data set. It is cached, and computed again if a file has changed.

    Raises:
        DataError: A file cannot be read.
    """
    kind = f"{type(data).__name__} {len(data)} {data.describe(0)}"  # names are part of the hash
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
    except (OSError, ValueError, EOFError):  # missing, or truncated by a full disk
        return None
    return found if found.shape == (rows, dim) and found.dtype == np.float32 else None
