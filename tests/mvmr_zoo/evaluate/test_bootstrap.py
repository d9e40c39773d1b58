from __future__ import annotations

import numpy as np
import pytest

from mvmr_zoo.checkpoint.card import Figure
from mvmr_zoo.evaluate import Difference, Measured, differences, figures, means_of


def figure(values: np.ndarray, seed: int = 0) -> Figure:
    return figures(means_of({"mean": values}), seed=seed)["mean"]


def difference(one: np.ndarray, other: np.ndarray) -> Difference:
    return differences(means_of({"mean": one}), means_of({"mean": other}))["mean"]


def test_interval_equals_that_of_resampling_rows() -> None:
    right = np.random.default_rng(3).random(500) < 0.7
    drawn = np.random.default_rng(4).integers(0, 500, (5000, 500))
    low, high = np.percentile(right[drawn].mean(axis=1), (2.5, 97.5))
    found = figure(right)
    assert found.value == round(right.mean(), 4)
    assert found.images == 500
    assert found.interval == pytest.approx((low, high), abs=0.006)


def test_all_right_is_certain() -> None:
    assert figure(np.ones(9, bool)) == Figure(value=1.0, low=1.0, high=1.0, images=9)


def test_the_seed_fixes_the_interval() -> None:
    values = np.random.default_rng(0).random(80)
    assert figure(values, seed=1) == figure(values, seed=1) != figure(values, seed=2)


def test_pairs_are_surer_than_two_intervals() -> None:
    """Two encoders that err on the same images differ by what they differ on, not by how hard the images are."""
    hard = np.random.default_rng(0).random(1000) < 0.5
    better = hard.copy()
    better[np.flatnonzero(~hard)[:20]] = True
    found = difference(better, hard)
    assert found.value == 0.02
    assert 0.01 < found.low < 0.02 < found.high < 0.03
    alone = figure(better)
    assert alone.high - alone.low > 2 * (found.high - found.low)
    assert str(found).startswith("+2.00 [+1.")


def test_two_that_do_not_differ() -> None:
    same = np.random.default_rng(0).random(50) < 0.5
    assert difference(same, same) == (0, 0, 0)
    with pytest.raises(ValueError, match="has 50 images, the other has 49"):
        difference(same, np.ones(49))


def test_a_resample_is_drawn_once_for_all_results() -> None:
    """Results of one report are of the same resamples, which are drawn and ranked only once."""
    drawn: list[bytes] = []

    def statistic(rows: np.ndarray) -> dict[str, float]:
        drawn.append(rows.tobytes())
        return {"share": float((rows < 10).mean()), "rest": float((rows >= 10).mean())}

    found = figures(Measured(40, statistic))
    assert len(drawn) == len(set(drawn)) == 2001
    assert found["share"].value == 0.25
    assert found["share"].low == pytest.approx(1 - found["rest"].high)
    alone = figures(Measured(40, lambda rows: {"share": float((rows < 10).mean())}))
    assert found["share"] == alone["share"]
