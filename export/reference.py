"""What PyTorch answers to the photos of a certificate: `reference.safetensors`. Reading it needs no PyTorch."""

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

KEPT = 512
"""The most photos whose features travel with an export."""

SIZED = 8
"""Photos that are tried at each other image size."""

_SIZE = "size_"


@dataclass(frozen=True)
class Reference:
    """PyTorch's answers.

    Args:
        features: `(N, D)` float32 of the measured photos, of unit norm where the export's are.
        logits: `(N, classes)` float32; None without a classifier.
        sizes: `(SIZED, D)` float32 of the first photos at other image sizes, by the side in pixels.
    """

    features: NDArray[np.float32]
    logits: NDArray[np.float32] | None
    sizes: Mapping[int, NDArray[np.float32]]

    def kept(self) -> Reference:
        """Those of the first photos only, which travel with the export."""
        logits = None if self.logits is None else self.logits[:KEPT]
        return replace(self, features=self.features[:KEPT], logits=logits)


def make_reference(model: Model, contract: Signature, photos: list[Path], head: Head | None) -> Reference:
    """PyTorch's answers to photos, through the Python preprocessing.

    Args:
        model: with PyTorch's engine.
        contract: of the export.
        photos: files, at least `SIZED`.
        head: the classifier, where the export has one.
    """
    raw = embedded(model, photos, contract)
    crop_px = contract.preprocess.crop_px
    others = (crop_px // 2, crop_px * 3 // 2, crop_px * 2) if contract.size_px is None else ()
    resize = contract.preprocess.resize_px / crop_px
    return Reference(
        features=_answered(raw, contract),
        logits=None if head is None else raw @ head.weight.T + head.bias,
        sizes={
            px: _answered(embedded(model, photos[:SIZED], contract, px), contract)
            for px in others
            if px * resize <= MAX_PX
        },
    )


def embedded(model: Model, photos: list[Path], contract: Signature, px: int | None = None) -> NDArray[np.float32]:
    """Features `(N, D)` as the engine gives them, through the preprocessing of a contract or of another size."""
    preprocess = contract.preprocess if px is None else contract.preprocess.scaled(px)
    sized = replace(model, card=replace(model.card, preprocess=preprocess))
    return sized.embed(photos, normalize=False, batch_size=16)


def write_reference(folder: Path, reference: Reference) -> None:
    """Write `reference.safetensors`."""
    tensors = {"features": reference.features}
    tensors |= {f"{_SIZE}{px}": each for px, each in reference.sizes.items()}
    tensors |= {} if reference.logits is None else {"logits": reference.logits}
    (folder / REFERENCE_FILE).write_bytes(save({name: np.ascontiguousarray(each) for name, each in tensors.items()}))


def read_reference(folder: Path, contract: Signature) -> Reference:
    """What `write_reference` wrote. Raises CheckpointError where it is something else."""
    path = folder / REFERENCE_FILE
    tensors = {name: tensor.astype(np.float32) for name, tensor in read_tensors(path).items()}
    features, logits = tensors.pop("features", None), tensors.pop("logits", None)
    dim = contract.embedding_dim
    if features is None or features.ndim != 2 or features.shape[1] != dim or (logits is None) == contract.head:
        found = None if features is None else features.shape
        raise CheckpointError(f"{path}: has features {found}; expected (N, {dim}), and logits where export.json does.")
    if logits is not None and (logits.ndim != 2 or len(logits) != len(features)):
        raise CheckpointError(f"{path}: has logits {logits.shape}; expected {len(features)} rows.")
    sizes = {}
    for name, each in tensors.items():
        px = name.removeprefix(_SIZE)
        if not (px.isdecimal() and name.startswith(_SIZE) and each.shape == (SIZED, dim)):
            raise CheckpointError(f"{path}: has {name} {each.shape}; expected {_SIZE}PX ({SIZED}, {dim}).")
        sizes[int(px)] = each
    return Reference(features, logits, sizes)


def _answered(raw: NDArray[np.float32], contract: Signature) -> NDArray[np.float32]:
    return unit(raw) if contract.unit_norm else raw
