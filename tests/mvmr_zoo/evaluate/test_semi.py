from __future__ import annotations

import numpy as np
import pytest

from mvmr_zoo.errors import DataError
from mvmr_zoo.evaluate import semi
from mvmr_zoo.evaluate.labels import among_top

NAMES = ("tench", "church", "parachute")


def test_scored_by_name_whatever_the_order_of_the_columns() -> None:
    logits = np.asarray([[3, 1, 2], [0, 5, 1], [1, 0, 2]], np.float32)
    found = semi(logits, NAMES, ["tench", "church", "church"])
    assert found.answers.tolist() == ["tench", "church", "parachute"]
    assert found.accuracy == pytest.approx(2 / 3)


def test_a_class_that_the_classifier_lacks_is_never_right() -> None:
    assert semi(np.ones((2, 3), np.float32), NAMES, ["golf ball", "golf ball"]).accuracy == 0


def test_what_cannot_be_scored() -> None:
    with pytest.raises(DataError, match="3 logits per image for the classes"):
        semi(np.ones((2, 3), np.float32), ("a", "b", "b"), ["a", "b"])
    with pytest.raises(DataError, match="contains NaN or infinite features; the first is in row 1"):
        semi(np.asarray([[1, 2, 3], [np.inf, 0, 0]], np.float32), NAMES, ["tench"] * 2)


def test_among_the_top_by_a_loop_with_ties_against_the_class() -> None:
    random = np.random.default_rng(0)
    scores, labels = random.integers(0, 5, (60, 8)).astype(float), random.integers(-1, 8, 60)
    for k in (1, 3, 5):
        naive = [
            label >= 0 and sum(other >= row[label] for i, other in enumerate(row) if i != label) < k
            for row, label in zip(scores, labels, strict=True)
        ]
        assert among_top(scores, labels, k).tolist() == naive
