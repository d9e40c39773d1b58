from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from export.accuracy import accuracy, knn_accuracy, margin
from export.agreement import agreement
from export.limits import limits_of

from .conftest import signature


def features(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Return features of two well-separated classes, and their labels."""
    labels = np.arange(n) % 2
    random = np.random.default_rng(0)
    return (np.eye(4)[labels] + 0.05 * random.standard_normal((n, 4))).astype(np.float32), labels


def test_knn_accuracy_classifies_each_half_with_the_other() -> None:
    vectors, labels = features()
    assert knn_accuracy(vectors, labels) == 1
    labels = labels.copy()
    labels[:20] = 1 - labels[:20]  # the labels of one half are now wrong for the other
    assert knn_accuracy(vectors, labels) == 0


def test_knn_accuracy_counts_each_photo_once_if_the_number_is_odd() -> None:
    vectors, labels = features(41)
    wrong = labels.copy()
    wrong[7] = 1 - wrong[7]
    assert knn_accuracy(vectors, wrong) == pytest.approx(40 / 41)


def test_drop_is_in_percentage_points() -> None:
    vectors, labels = features()
    swapped = vectors.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    result = accuracy(vectors, swapped, labels)
    assert (result.pytorch, result.onnx) == (1, pytest.approx(38 / 40))
    assert result.drop_points == pytest.approx(5)
    assert accuracy(swapped, vectors, labels).drop_points == pytest.approx(-5)


def test_margin_is_the_distance_from_the_nearest_limit() -> None:
    vectors, labels = features()
    found = agreement(vectors, other := other_features(vectors))
    drop = accuracy(vectors, other, labels).drop_points
    assert 0 < found.top1_agreement < 1
    assert drop > 0
    loose = replace(limits_of(signature(), labels=False), cosine_min=-1.0, cosine_mean=-1.0, top1_agreement=None)

    def margin_with(**limits: float) -> float:
        return margin(vectors, labels, replace(loose, **limits))(other)

    assert margin_with(top1_agreement=0.25) == pytest.approx(found.top1_agreement - 0.25)
    assert margin_with(cosine_min=0.5) == pytest.approx(found.cosine_min - 0.5)
    assert margin_with(cosine_mean=0.9) == pytest.approx(found.cosine_mean - 0.9)
    assert margin_with(max_drop=2.0) == pytest.approx(2 - drop)
    combined = margin_with(cosine_mean=0.9, cosine_min=0.5, top1_agreement=0.99, max_drop=40.0)
    assert combined == pytest.approx(min(found.cosine_mean - 0.9, found.cosine_min - 0.5, found.top1_agreement - 0.99))


def test_equal_features_meet_all_limits() -> None:
    vectors, labels = features()
    for dtype in ("fp32", "int8"):
        limits = limits_of(signature(dtype=dtype), labels=True)
        assert margin(vectors, labels, limits)(vectors) > 0
        assert margin(vectors, None, limits)(other_features(vectors)) < 0


def other_features(vectors: np.ndarray) -> np.ndarray:
    """Return the vectors with noise, and with two rows swapped."""
    other = vectors + 0.05 * np.random.default_rng(1).standard_normal(vectors.shape).astype(np.float32)
    other[[0, 1]] = other[[1, 0]]
    return other
