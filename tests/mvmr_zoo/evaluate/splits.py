"""Features and labels for tests of protocols."""

from __future__ import annotations

import inspect

import numpy as np


def blobs(train: int, test: int, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Train features and labels, test features and labels: classes that overlap a little, in eight dimensions."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((classes, 8))
    labels = random.integers(0, classes, train + test)
    features = (centres[labels] + 0.9 * random.standard_normal((train + test, 8))).astype(np.float32)
    return features[:train], labels[:train], features[train:], labels[train:]


class UnreadLabels:
    """Test labels that can be turned into an array by `Classes.numbers` alone, which protocols call at the end.

    Whatever else looks at them, by length, item or array, fails.
    """

    def __init__(self, labels: np.ndarray) -> None:
        self._labels, self.read = labels, False

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        caller = inspect.stack()[1]
        if caller.function != "numbers" or "predictions" not in inspect.stack()[2].frame.f_locals:
            raise AssertionError(f"test labels read by {caller.function} before there are predictions")
        self.read = True
        return self._labels
