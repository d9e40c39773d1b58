from __future__ import annotations

import numpy as np
import pytest

from mvmr_zoo.errors import DataError
from mvmr_zoo.evaluate import linear, linear_sgd
from mvmr_zoo.evaluate.linear_sgd import EPOCHS

from .splits import blobs


def test_near_the_minimum_where_there_is_enough_of_it() -> None:
    train, labels, test, truth = blobs(3000, 400)
    found = linear_sgd([train], labels, test, truth)
    assert found.accuracy == pytest.approx(linear(train, labels, test, truth).accuracy, abs=0.03)
    assert found.accuracy == found.by_epoch[-1] == (found.answers == truth).mean()
    assert len(found.by_epoch) == EPOCHS
    assert found.by_epoch.max() == (found.best_answers == truth).mean() >= found.accuracy


def test_every_view_is_trained_on() -> None:
    """Each view shows one half of the classes' directions; only both together tell all classes apart."""
    train, labels, test, truth = blobs(1500, 300)
    halves = [train.copy(), train.copy()]
    halves[0][:, ::2] = 0
    halves[1][:, 1::2] = 0
    both, one = linear_sgd(halves, labels, test, truth), linear_sgd(halves[:1], labels, test, truth)
    assert both.accuracy > one.accuracy + 0.05


def test_labels_as_features_are_right_and_noise_is_chance() -> None:
    random = np.random.default_rng(0)
    labels, truth = random.integers(0, 10, 4000), random.integers(0, 10, 600)
    eye = np.eye(10, dtype=np.float32)
    found = linear_sgd([eye[labels]], labels, eye[truth], truth)
    assert found.accuracy == 1.0
    assert found.top5.all()
    noise = random.standard_normal((4600, 16)).astype(np.float32)
    assert abs(linear_sgd([noise[:4000]], labels, noise[4000:], truth).accuracy - 0.1) < 0.05


@pytest.mark.parametrize("constant", [10, 1000])
def test_a_constant_column_carries_nothing(constant: float) -> None:
    train, labels, test, truth = blobs(1500, 300)
    plain = linear_sgd([train], labels, test, truth)
    more = [np.insert(rows, 0, constant, axis=1) for rows in (train, test)]
    assert linear_sgd([more[0]], labels, more[1], truth).accuracy == pytest.approx(plain.accuracy, abs=0.03)


def test_the_seed_fixes_it() -> None:
    train, labels, test, truth = blobs(300, 60)
    one, two = (linear_sgd([train], labels, test, truth, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.by_epoch, two.by_epoch)


def test_what_cannot_be_trained_on() -> None:
    train, labels, test, truth = blobs(30, 6)
    with pytest.raises(DataError, match="received no training views"):
        linear_sgd([], labels, test, truth)
    with pytest.raises(DataError, match="The training split has 1 class"):
        linear_sgd([train], labels * 0, test, truth)
    with pytest.raises(DataError, match="8 dimensions, test features 7"):
        linear_sgd([train], labels, test[:, :7], truth)
    train[3, 2] = np.nan
    with pytest.raises(DataError, match="contains NaN or infinite features; the first is in row 3"):
        linear_sgd([train], labels, test, truth)
