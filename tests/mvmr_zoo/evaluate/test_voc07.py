from __future__ import annotations

import numpy as np
import pytest

from mvmr_zoo.errors import DataError
from mvmr_zoo.evaluate.voc07 import voc07

NAMES = ("cat", "dog", "cow")


def photos(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features in which each class has a direction of its own, and which classes each photo shows."""
    random = np.random.default_rng(seed)
    labels = (random.random((rows, 3)) < 0.3).astype(np.int64)
    directions = np.random.default_rng(9).standard_normal((3, 10))
    features = labels @ directions + random.standard_normal((rows, 10))
    return features.astype(np.float32), labels


def test_near_scikit_learn_at_the_strengths_chosen() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import average_precision_score

    train, labels = photos(300, 0)
    test, truth = photos(200, 1)
    found = voc07(train, labels, test, truth, class_names=NAMES)
    scale = np.sqrt(np.square(train).mean())
    areas = []
    for number, name in enumerate(NAMES):
        theirs = LogisticRegression(C=found.strengths[name], tol=1e-8, max_iter=10_000).fit(
            train / scale, labels[:, number]
        )
        scores = theirs.decision_function(test / scale)
        np.testing.assert_allclose(found.scores[:, number], scores, atol=0.02)
        areas.append(average_precision_score(truth[:, number], found.scores[:, number]))
    assert found.mean_area == pytest.approx(np.mean(areas))
    assert 0 < found.mean_eleven_point < 1


def test_photos_that_show_a_class_as_difficult_only_do_not_count() -> None:
    from sklearn.metrics import average_precision_score

    train, labels = photos(200, 2)
    test, truth = photos(100, 3)
    plain = voc07(train, labels, test, truth, class_names=NAMES)
    worst = np.argsort(plain.scores[:, 0])[:3]
    hard = truth.copy()
    hard[worst, 0] = -1
    judged = np.setdiff1d(np.arange(100), worst)
    area = average_precision_score(truth[judged, 0], plain.scores[judged, 0])
    found = voc07(train, labels, test, hard, class_names=NAMES)
    assert found.classes["cat"].area == pytest.approx(area)
    assert found.classes["dog"] == plain.classes["dog"]


def test_labels_as_features_are_perfect() -> None:
    _, labels = photos(90, 4)
    _, truth = photos(60, 5)
    found = voc07(labels.astype(np.float32), labels, truth.astype(np.float32), truth, class_names=NAMES)
    assert found.mean_area == found.mean_eleven_point == pytest.approx(1)


def test_classes_without_photos() -> None:
    train, labels = photos(60, 6)
    empty = labels * [1, 1, 0]
    with pytest.raises(DataError, match="in trainval, 0 of 60 photos show cow"):
        voc07(train, empty, train, labels, class_names=NAMES)
    with pytest.raises(DataError, match="no photo of test shows cow"):
        voc07(train, labels, train, empty, class_names=NAMES)
