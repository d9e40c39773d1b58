"""What a protocol says of features that know nothing, and of features that know everything."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mvmr_zoo.evaluate import figures, knn, linear, linear_sgd, means_of, retrieval, voc07

CLASSES = 5
RANDOM = np.random.default_rng(0)
LABELS, TRUTH = RANDOM.integers(0, CLASSES, 600), RANDOM.integers(0, CLASSES, 400)
NOISE, MORE_NOISE = (RANDOM.standard_normal((rows, 12)).astype(np.float32) for rows in (600, 400))
SHOWN = np.eye(CLASSES, dtype=np.float32)

CLASSIFIERS = [
    pytest.param(knn, id="knn"),
    pytest.param(linear, id="linear"),
    pytest.param(lambda train, *more: linear_sgd([train], *more), id="linear-sgd"),
]


@pytest.mark.parametrize("classify", CLASSIFIERS)
def test_noise_is_chance_within_the_interval(classify: Callable[..., object]) -> None:
    found = figures(means_of({"mean": classify(NOISE, LABELS, MORE_NOISE, TRUTH).answers == TRUTH}))["mean"]
    assert found.low < 1 / CLASSES < found.high


@pytest.mark.parametrize("classify", CLASSIFIERS)
def test_labels_are_all_right(classify: Callable[..., object]) -> None:
    assert classify(SHOWN[LABELS], LABELS, SHOWN[TRUTH], TRUTH).accuracy == 1


def test_retrieval_of_noise_and_of_labels() -> None:
    """Of a random ranking the first hit is of the query's class as often as the others are."""
    noise = retrieval(MORE_NOISE, TRUTH)
    others = np.mean([(np.count_nonzero(TRUTH == label) - 1) / (len(TRUTH) - 1) for label in TRUTH])
    first = figures(means_of({"first": noise.found[:, 0]}))["first"]
    assert first.low < others < first.high
    assert noise.mean_average_precision == pytest.approx(others, abs=0.02)
    assert retrieval(SHOWN[TRUTH], TRUTH).mean_average_precision == pytest.approx(1)


def test_voc07_of_noise_and_of_labels() -> None:
    train, truth = SHOWN[LABELS].astype(np.int64), SHOWN[TRUTH].astype(np.int64)
    names = "abcde"
    noise = voc07(NOISE[:200], train[:200], MORE_NOISE, truth, class_names=names)
    assert noise.mean_area == pytest.approx(1 / CLASSES, abs=0.06)
    assert voc07(SHOWN[LABELS[:200]], train[:200], SHOWN[TRUTH], truth, class_names=names).mean_area == pytest.approx(1)
