"""k-NN accuracy of an export's features beside PyTorch's, where the photos have classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from export.agreement import agreement
from mvmr_zoo.evaluate import knn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from export.limits import Limits


@dataclass(frozen=True)
class Accuracy:
    """k-NN accuracy of the same photos.

    Args:
        pytorch: of PyTorch's features, a fraction.
        onnx: of the export's, a fraction.
        drop_points: the first less the second, in hundredths.
    """

    pytorch: float
    onnx: float
    drop_points: float


def accuracy(reference: NDArray[np.float32], found: NDArray[np.float32], labels: NDArray[np.int64]) -> Accuracy:
    """k-NN accuracy of PyTorch's features and of an export's, both `(N, D)`, with `(N,)` classes."""
    pytorch, onnx = knn_accuracy(reference, labels), knn_accuracy(found, labels)
    return Accuracy(pytorch, onnx, 100 * (pytorch - onnx))


def knn_accuracy(features: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """k-NN accuracy of two halves, each classified by the other, so every photo once; a fraction."""
    half = len(features) // 2
    first, second = slice(None, half), slice(half, None)
    right = 0.0
    for train, test in ((first, second), (second, first)):
        right += knn(features[train], labels[train], features[test], labels[test]).accuracy * len(labels[test])
    return right / len(labels)


def margin(
    reference: NDArray[np.float32], labels: NDArray[np.int64] | None, limits: Limits
) -> Callable[[NDArray[np.float32]], float]:
    """From features to how far they keep the limits on features; negative where they miss one.

    Args:
        reference: `(N, D)` PyTorch's features.
        labels: `(N,)` classes, where there are any.
        limits: of the export; those on other sizes, batches and classes are not looked at.
    """

    def kept(features: NDArray[np.float32]) -> float:
        found = agreement(reference, features)
        spare = [found.cosine_min - limits.cosine_min, found.cosine_mean - limits.cosine_mean]
        if limits.top1_agreement is not None:
            spare.append(found.top1_agreement - limits.top1_agreement)
        if limits.max_drop is not None and labels is not None:
            spare.append(limits.max_drop - accuracy(reference, features, labels).drop_points)
        return min(spare)

    return kept
