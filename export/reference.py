"""PyTorch outputs for the photos of a parity report: `reference.safetensors`. Reading it does not need PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save

from mvmr_zoo.checkpoint import read_tensors
from mvmr_zoo.errors import CheckpointError
from mvmr_zoo.images import MAX_PX
from mvmr_zoo.inference import unit
from mvmr_zoo.models.exported import REFERENCE_FILE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mvmr_zoo import Model
    from mvmr_zoo.checkpoint import Head
    from mvmr_zoo.models.exported import Signature

MAX_STORED = 512
"""Maximum number of photos whose outputs are stored in an exported folder."""

PHOTOS_PER_SIZE = 8
"""Number of photos that are embedded at each other image size."""

_SIZE_PREFIX = "size_"


@dataclass(frozen=True)
class Reference:
    """PyTorch outputs for the measured photos.

    Args:
        features: Features `(N, D)` float32, with unit norm if the export has unit norm.
        logits: Logits `(N, classes)` float32; None without a classifier.
        sizes: Features `(PHOTOS_PER_SIZE, D)` float32 of the first photos at other image sizes, by the side in pixels.
    """

    features: NDArray[np.float32]
    logits: NDArray[np.float32] | None
    sizes: Mapping[int, NDArray[np.float32]]

    def stored(self) -> Reference:
        """Return the outputs of the first `MAX_STORED` photos, which are stored in the exported folder."""
        logits = None if self.logits is None else self.logits[:MAX_STORED]
        return replace(self, features=self.features[:MAX_STORED], logits=logits)


def make_reference(model: Model, signature: Signature, photos: list[Path], head: Head | None) -> Reference:
    """Compute the PyTorch outputs for photos with the Python preprocessing.

    Args:
        model: Model with a PyTorch engine.
        signature: Signature of the export.
        photos: Photo files, at least `PHOTOS_PER_SIZE`.
        head: Classifier; None if the export has none.
    """
    raw = embed_photos(model, photos, signature)
    crop_px = signature.preprocess.crop_px
    other_sizes = (crop_px // 2, crop_px * 3 // 2, crop_px * 2) if signature.size_px is None else ()
    resize_ratio = signature.preprocess.resize_px / crop_px
    return Reference(
        features=_apply_unit_norm(raw, signature),
        logits=None if head is None else raw @ head.weight.T + head.bias,
        sizes={
            px: _apply_unit_norm(embed_photos(model, photos[:PHOTOS_PER_SIZE], signature, px), signature)
            for px in other_sizes
            if px * resize_ratio <= MAX_PX
        },
    )


def embed_photos(model: Model, photos: list[Path], signature: Signature, px: int | None = None) -> NDArray[np.float32]:
    """Return the features of photos `(N, D)` without normalization.

    Photos are preprocessed as in the signature, or for another image size.
    """
    preprocess = signature.preprocess if px is None else signature.preprocess.scaled(px)
    sized = replace(model, card=replace(model.card, preprocess=preprocess))
    return sized.embed(photos, normalize=False, batch_size=16)


def write_reference(folder: Path, reference: Reference) -> None:
    """Write `reference.safetensors`."""
    tensors = {"features": reference.features}
    tensors |= {f"{_SIZE_PREFIX}{px}": each for px, each in reference.sizes.items()}
    tensors |= {} if reference.logits is None else {"logits": reference.logits}
    (folder / REFERENCE_FILE).write_bytes(save({name: np.ascontiguousarray(each) for name, each in tensors.items()}))


def read_reference(folder: Path, signature: Signature) -> Reference:
    """Read `reference.safetensors`. Raises CheckpointError if a tensor is missing or has an unexpected shape."""
    path = folder / REFERENCE_FILE
    tensors = {name: tensor.astype(np.float32) for name, tensor in read_tensors(path).items()}
    features, logits = tensors.pop("features", None), tensors.pop("logits", None)
    dim = signature.embedding_dim
    if features is None or features.ndim != 2 or features.shape[1] != dim or (logits is None) == signature.head:
        shape = None if features is None else features.shape
        with_logits = "with" if signature.head else "without"
        raise CheckpointError(f"{path}: has features {shape}; expected (N, {dim}), {with_logits} logits.")
    if logits is not None and (logits.ndim != 2 or len(logits) != len(features)):
        raise CheckpointError(f"{path}: has logits {logits.shape}; expected {len(features)} rows.")
    sizes = {}
    for name, each in tensors.items():
        px = name.removeprefix(_SIZE_PREFIX)
        if not (px.isdecimal() and name.startswith(_SIZE_PREFIX) and each.shape == (PHOTOS_PER_SIZE, dim)):
            raise CheckpointError(
                f"{path}: has {name} {each.shape}; expected {_SIZE_PREFIX}PX ({PHOTOS_PER_SIZE}, {dim})."
            )
        sizes[int(px)] = each
    return Reference(features, logits, sizes)


def _apply_unit_norm(raw: NDArray[np.float32], signature: Signature) -> NDArray[np.float32]:
    return unit(raw) if signature.unit_norm else raw
