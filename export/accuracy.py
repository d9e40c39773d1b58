"""k-NN accuracy of exported features compared with PyTorch features, for photos with class labels."""

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
    """k-NN accuracy of PyTorch and exported features on the same photos.

    Args:
        pytorch: Accuracy of the PyTorch features, as a fraction.
        onnx: Accuracy of the exported features, as a fraction.
        drop_points: `pytorch` minus `onnx`, in percentage points.
    """

    pytorch: float
    onnx: float
    drop_points: float


def accuracy(reference: NDArray[np.float32], exported: NDArray[np.float32], labels: NDArray[np.int64]) -> Accuracy:
    """Return the k-NN accuracy of PyTorch and exported features, both `(N, D)`, with `(N,)` class labels."""
    pytorch, onnx = knn_accuracy(reference, labels), knn_accuracy(exported, labels)
    return Accuracy(pytorch, onnx, 100 * (pytorch - onnx))


def knn_accuracy(features: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the two-fold k-NN accuracy as a fraction: each half is classified with the other half."""
    half = len(features) // 2
    first, second = slice(None, half), slice(half, None)
    correct = 0.0
    for train, test in ((first, second), (second, first)):
        correct += knn(features[train], labels[train], features[test], labels[test]).accuracy * len(labels[test])
    return correct / len(labels)


def margin(
    reference: NDArray[np.float32], labels: NDArray[np.int64] | None, limits: Limits
) -> Callable[[NDArray[np.float32]], float]:
    """Return a function from exported features to their smallest distance from a limit.

    The distance is negative if a limit is missed. Limits on other image sizes, batches and classes are ignored.

    Args:
        reference: PyTorch features `(N, D)`.
        labels: Class labels `(N,)`, or None.
        limits: Limits of the export.
    """

    def smallest_margin(features: NDArray[np.float32]) -> float:
        result = agreement(reference, features)
        margins = [result.cosine_min - limits.cosine_min, result.cosine_mean - limits.cosine_mean]
        if limits.top1_agreement is not None:
            margins.append(result.top1_agreement - limits.top1_agreement)
        if limits.max_drop is not None and labels is not None:
            margins.append(limits.max_drop - accuracy(reference, features, labels).drop_points)
        return min(margins)

    return smallest_margin
