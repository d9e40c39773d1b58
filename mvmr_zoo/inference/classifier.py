"""Classification of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mvmr_zoo.checkpoint import Scores


class ClassScore(NamedTuple):
    """One class and its probability in [0, 1]."""

    name: str
    probability: float


class Classification(NamedTuple):
    """Class probabilities of N images.

    Shapes: `probabilities` `(N, classes)` float32 in [0, 1], in the order of `class_names`.
    """

    class_names: tuple[str, ...]
    probabilities: NDArray[np.float32]

    def top(self, k: int = 5) -> list[list[ClassScore]]:
        """The `k` most likely classes of each image, in descending order."""
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :k]
        return [
            [ClassScore(self.class_names[i], float(scores[i])) for i in ranks]
            for ranks, scores in zip(order, self.probabilities, strict=True)
        ]


def probabilities(logits: NDArray[np.float32], scores: Scores) -> NDArray[np.float32]:
    """Convert logits `(N, classes)` to probabilities: `softmax` over classes, or `sigmoid` for independent classes."""
    wide = logits.astype(np.float64)
    if scores == "sigmoid":
        return np.asarray(np.exp(-np.logaddexp(0, -wide)), np.float32)
    powers = np.exp(wide - wide.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)
