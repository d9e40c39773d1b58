"""Measuring an exported folder against PyTorch's answers. Needs no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.agreement import Agreement, agreement, cosines
from export.inputs import inputs
from export.reference import SIZED, Reference, embedded
from mvmr_zoo.images import read_image
from mvmr_zoo.models.exported import ExportedEngine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from mvmr_zoo import Model
    from mvmr_zoo.models.exported import Signature

TRIED_BATCHES = (1, 2, 7, 64)
_AT_ONCE = 16


@dataclass(frozen=True)
class Measured:
    """What was found of an exported folder.

    Args:
        features: `(N, D)` float32, its answers.
        agreement: of its features with PyTorch's.
        batches: the lowest cosine of a photo's vector in a batch of a size to its own in other company.
        sizes: the mean cosine to PyTorch at other image sizes, by the side in pixels.
        class_agreement: fraction of photos with PyTorch's most likely class; None without a classifier.
    """

    features: NDArray[np.float32]
    agreement: Agreement
    batches: Mapping[int, float]
    sizes: Mapping[int, float]
    class_agreement: float | None

    def figures(self) -> dict[str, float]:
        """By the names that `Limits` has for them."""
        found = {
            "cosine_min": self.agreement.cosine_min,
            "cosine_mean": self.agreement.cosine_mean,
            "top1_agreement": self.agreement.top1_agreement,
            "batch_cosine": min(self.batches.values()),
        }
        found |= {"size_cosine": min(self.sizes.values())} if self.sizes else {}
        found |= {} if self.class_agreement is None else {"class_agreement": self.class_agreement}
        return found


def measure(model: Model, contract: Signature, photos: list[Path], reference: Reference) -> Measured:
    """An exported folder's answers beside PyTorch's.

    Args:
        model: the loaded folder.
        contract: its own.
        photos: files, a row of the reference each; at least the largest of `TRIED_BATCHES`.
        reference: PyTorch's answers.
    """
    assert isinstance(model.engine, ExportedEngine)
    features = answers(model, contract, photos)
    first = inputs(contract, photos[: max(TRIED_BATCHES)])
    batches = {}
    for size in TRIED_BATCHES:
        batches[size] = float(cosines(features[:size], model.engine(first[:size])).min())
    sizes = {
        px: float(cosines(wanted, embedded(model, photos[:SIZED], contract, px)).mean())
        for px, wanted in reference.sizes.items()
    }
    classes = None
    if reference.logits is not None:
        parts = [photos[start : start + _AT_ONCE] for start in range(0, len(photos), _AT_ONCE)]
        found = np.concatenate([model.engine.logits(inputs(contract, part)) for part in parts])
        classes = float((found.argmax(axis=1) == reference.logits.argmax(axis=1)).mean())
    return Measured(features, agreement(reference.features, features), batches, sizes, classes)


def answers(model: Model, contract: Signature, photos: list[Path]) -> NDArray[np.float32]:
    """Features `(N, D)` of photos; a folder that resizes gets every pixel of them, as other languages would give it."""
    if contract.reads == "photo":
        return model.embed((read_image(photo) for photo in photos), normalize=False, batch_size=16)
    return embedded(model, photos, contract)
