"""Compare an exported folder with stored PyTorch outputs. Does not need PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.agreement import Agreement, agreement, cosines
from export.inputs import load_inputs
from export.reference import PHOTOS_PER_SIZE, Reference, embed_photos
from mvmr_zoo.images import read_image
from mvmr_zoo.models.exported import ExportedEngine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from mvmr_zoo import Model
    from mvmr_zoo.models.exported import Signature

TESTED_BATCH_SIZES = (1, 2, 7, 64)
_BATCH_SIZE = 16


@dataclass(frozen=True)
class Measurements:
    """Measurements of an exported folder.

    Args:
        features: Features of the export `(N, D)` float32.
        agreement: Agreement of the features with PyTorch.
        batches: Lowest cosine similarity between a vector computed with a batch size and the vector in `features`,
            by batch size.
        sizes: Mean cosine similarity to PyTorch at other image sizes, by the side in pixels.
        class_agreement: Fraction of photos with the same most likely class as in PyTorch; None without a classifier.
    """

    features: NDArray[np.float32]
    agreement: Agreement
    batches: Mapping[int, float]
    sizes: Mapping[int, float]
    class_agreement: float | None

    def figures(self) -> dict[str, float]:
        """Return the measured values under the names used in `Limits`."""
        values = {
            "cosine_min": self.agreement.cosine_min,
            "cosine_mean": self.agreement.cosine_mean,
            "top1_agreement": self.agreement.top1_agreement,
            "batch_cosine": min(self.batches.values()),
        }
        values |= {"size_cosine": min(self.sizes.values())} if self.sizes else {}
        values |= {} if self.class_agreement is None else {"class_agreement": self.class_agreement}
        return values


def measure(model: Model, signature: Signature, photos: list[Path], reference: Reference) -> Measurements:
    """Run an exported folder on photos and compare the outputs with PyTorch.

    Args:
        model: Model loaded from the exported folder.
        signature: Signature of the export.
        photos: Photo files, in the order of the rows of `reference`. At least the largest of `TESTED_BATCH_SIZES`.
        reference: PyTorch outputs.
    """
    assert isinstance(model.engine, ExportedEngine)
    features = embed_export(model, signature, photos)
    first = load_inputs(signature, photos[: max(TESTED_BATCH_SIZES)])
    batches = {}
    for size in TESTED_BATCH_SIZES:
        batches[size] = float(cosines(features[:size], model.engine(first[:size])).min())
    sizes = {
        px: float(cosines(expected, embed_photos(model, photos[:PHOTOS_PER_SIZE], signature, px)).mean())
        for px, expected in reference.sizes.items()
    }
    classes = None
    if reference.logits is not None:
        parts = [photos[start : start + _BATCH_SIZE] for start in range(0, len(photos), _BATCH_SIZE)]
        logits = np.concatenate([model.engine.logits(load_inputs(signature, part)) for part in parts])
        classes = float((logits.argmax(axis=1) == reference.logits.argmax(axis=1)).mean())
    return Measurements(features, agreement(reference.features, features), batches, sizes, classes)


def embed_export(model: Model, signature: Signature, photos: list[Path]) -> NDArray[np.float32]:
    """Return the features of photos `(N, D)`.

    If the graph resizes, photos are decoded at full size, as a program in another language would pass them.
    """
    if signature.reads == "photo":
        return model.embed((read_image(photo) for photo in photos), normalize=False, batch_size=16)
    return embed_photos(model, photos, signature)
