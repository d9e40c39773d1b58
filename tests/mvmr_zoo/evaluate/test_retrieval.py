from __future__ import annotations

import numpy as np
import pytest

from mvmr_zoo.errors import DataError
from mvmr_zoo.evaluate.retrieval import retrieval


def test_by_hand() -> None:
    """Three photos on a quarter circle, at 0, 30 and 90 degrees; the first and the last are of one class."""
    angles = np.deg2rad([0, 30, 90])
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = retrieval(features, ["cat", "dog", "cat"], ranks=(1, 2))
    assert found.queries.tolist() == [0, 2]  # the dog has no other
    assert found.precisions.tolist() == [0.5, 0.5]
    assert found.recall == {1: 0.0, 2: 1.0}
    assert retrieval(features, ["cat", "cat", "dog"]).mean_average_precision == 1.0


def test_length_and_order_do_not_matter_and_labels_as_features_are_perfect() -> None:
    random = np.random.default_rng(0)
    features, labels = random.standard_normal((60, 5)).astype(np.float32), random.integers(0, 6, 60)
    one, order = retrieval(features, labels), random.permutation(60)
    two = retrieval((features * random.uniform(0.1, 9, (60, 1)).astype(np.float32))[order], labels[order])
    assert one.mean_average_precision == pytest.approx(two.mean_average_precision, abs=1e-6)
    assert retrieval(np.eye(6, dtype=np.float32)[labels], labels).mean_average_precision == pytest.approx(1)


def test_features_that_tell_nothing_gain_nothing() -> None:
    labels = np.repeat([0, 1], 50)
    found = retrieval(np.ones((100, 3), np.float32), labels)
    assert found.mean_average_precision == pytest.approx(49 / 99)
    assert found.recall == {1: 0.0, 5: 0.0, 10: 0.0}
    noise = np.random.default_rng(0).standard_normal((100, 40)).astype(np.float32)
    assert retrieval(noise, labels).mean_average_precision == pytest.approx(49 / 99, abs=0.05)


def test_what_cannot_be_measured() -> None:
    with pytest.raises(DataError, match="needs a class with at least two images"):
        retrieval(np.eye(3, dtype=np.float32), [0, 1, 2])
    with pytest.raises(DataError, match="contains NaN or infinite features; the first is in row 1"):
        retrieval(np.array([[1.0], [np.nan]], np.float32), [0, 0])
    with pytest.raises(DataError, match="expected \\(N, D\\) with N at least 1"):
        retrieval(np.empty((0, 3), np.float32), [])
