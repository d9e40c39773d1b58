from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from export.accuracy import accuracy, knn_accuracy, margin
from export.agreement import agreement
from export.limits import limits_of

from .conftest import contract


def features(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Two classes of features, well apart, and their labels."""
    labels = np.arange(n) % 2
    random = np.random.default_rng(0)
    return (np.eye(4)[labels] + 0.05 * random.standard_normal((n, 4))).astype(np.float32), labels


def test_each_half_is_classified_by_the_other() -> None:
    vectors, labels = features()
    assert knn_accuracy(vectors, labels) == 1
    labels = labels.copy()
    labels[:20] = 1 - labels[:20]  # now what one half says is wrong in the other
    assert knn_accuracy(vectors, labels) == 0


def test_an_odd_number_of_photos_counts_each_once() -> None:
    vectors, labels = features(41)
    wrong = labels.copy()
    wrong[7] = 1 - wrong[7]
    assert knn_accuracy(vectors, wrong) == pytest.approx(40 / 41)


def test_a_drop_is_in_points() -> None:
    vectors, labels = features()
    swapped = vectors.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    lost = accuracy(vectors, swapped, labels)
    assert (lost.pytorch, lost.onnx) == (1, pytest.approx(38 / 40))
    assert lost.drop_points == pytest.approx(5)
    assert accuracy(swapped, vectors, labels).drop_points == pytest.approx(-5)


def test_a_margin_is_how_far_the_nearest_limit_is() -> None:
    vectors, labels = features()
    found = agreement(vectors, other := other_features(vectors))
    lost = accuracy(vectors, other, labels).drop_points
    assert 0 < found.top1_agreement < 1
    assert lost > 0
    none = replace(limits_of(contract(), labels=False), cosine_min=-1.0, cosine_mean=-1.0, top1_agreement=None)

    def spare(**wanted: float) -> float:
        return margin(vectors, labels, replace(none, **wanted))(other)

    assert spare(top1_agreement=0.25) == pytest.approx(found.top1_agreement - 0.25)
    assert spare(cosine_min=0.5) == pytest.approx(found.cosine_min - 0.5)
    assert spare(cosine_mean=0.9) == pytest.approx(found.cosine_mean - 0.9)
    assert spare(max_drop=2.0) == pytest.approx(2 - lost)
    both = spare(cosine_mean=0.9, cosine_min=0.5, top1_agreement=0.99, max_drop=40.0)
    assert both == pytest.approx(min(found.cosine_mean - 0.9, found.cosine_min - 0.5, found.top1_agreement - 0.99))


def test_equal_features_keep_every_limit() -> None:
    vectors, labels = features()
    for dtype in ("fp32", "int8"):
        limits = limits_of(contract(dtype=dtype), labels=True)
        assert margin(vectors, labels, limits)(vectors) > 0
        assert margin(vectors, None, limits)(other_features(vectors)) < 0


def other_features(vectors: np.ndarray) -> np.ndarray:
    """Two rows have changed places, and all are a little off."""
    other = vectors + 0.05 * np.random.default_rng(1).standard_normal(vectors.shape).astype(np.float32)
    other[[0, 1]] = other[[1, 0]]
    return other
