"""Features and labels for tests of protocols."""

from __future__ import annotations

import numpy as np


def blobs(train: int, test: int, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Train features and labels, test features and labels: classes that overlap a little, in eight dimensions."""
    random = np.random.default_rng(seed)
    centers = random.standard_normal((classes, 8))
    labels = random.integers(0, classes, train + test)
    features = (centers[labels] + 0.9 * random.standard_normal((train + test, 8))).astype(np.float32)
    return features[:train], labels[:train], features[train:], labels[train:]
