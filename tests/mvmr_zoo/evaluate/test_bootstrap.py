from __future__ import annotations

import numpy as np
import pytest

from mvmr_zoo.checkpoint.card import Figure
from mvmr_zoo.evaluate import difference, figure, mean_of


def test_interval_equals_that_of_resampling_rows() -> None:
    right = np.random.default_rng(3).random(500) < 0.7
    drawn = np.random.default_rng(4).integers(0, 500, (5000, 500))
    low, high = np.percentile(right[drawn].mean(axis=1), (2.5, 97.5))
    found = figure(mean_of(right))
    assert found.value == round(right.mean(), 4)
    assert found.images == 500
    assert found.interval == pytest.approx((low, high), abs=0.006)


def test_all_right_is_certain() -> None:
    assert figure(mean_of(np.ones(9, bool))) == Figure(value=1.0, low=1.0, high=1.0, images=9)


def test_the_seed_fixes_the_interval() -> None:
    values = mean_of(np.random.default_rng(0).random(80))
    assert figure(values, seed=1) == figure(values, seed=1) != figure(values, seed=2)


def test_pairs_are_surer_than_two_intervals() -> None:
    """Two encoders that err on the same images differ by what they differ on, not by how hard the images are."""
    hard = np.random.default_rng(0).random(1000) < 0.5
    better = hard.copy()
    better[np.flatnonzero(~hard)[:20]] = True
    found = difference(mean_of(better), mean_of(hard))
    assert found.value == 0.02
    assert 0.01 < found.low < 0.02 < found.high < 0.03
    alone = figure(mean_of(better))
    assert alone.high - alone.low > 2 * (found.high - found.low)
    assert str(found).startswith("+2.00 [+1.")


def test_two_that_do_not_differ() -> None:
    same = mean_of(np.random.default_rng(0).random(50) < 0.5)
    assert difference(same, same) == (0, 0, 0)
    with pytest.raises(ValueError, match="has 50 images, the other has 49"):
        difference(same, mean_of(np.ones(49)))
