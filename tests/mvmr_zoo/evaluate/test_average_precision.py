from __future__ import annotations

import itertools

import numpy as np
import pytest

from mvmr_zoo.evaluate.average_precision import average_precision


@pytest.mark.parametrize(
    ("scores", "positive", "eleven_point", "area"),
    [
        # ranked: right, wrong, right, wrong; precision 1 to recall 0.5, then 2/3
        ([4, 3, 2, 1], [1, 0, 1, 0], (6 * 1 + 5 * 2 / 3) / 11, (1 + 2 / 3) / 2),
        # the only right one last
        ([3, 2, 1], [0, 0, 1], 1 / 3, 1 / 3),
        # all equal: one step, precision 2/4 at recall 1
        ([5, 5, 5, 5], [1, 0, 1, 0], 0.5, 0.5),
        # a tie of a right and a wrong one ahead of a right one: 1/2 at recall 1/2, 2/3 at recall 1
        ([9, 9, 1], [1, 0, 1], 2 / 3, (1 / 2 + 2 / 3) / 2),
        ([3, 2, 1], [1, 1, 1], 1.0, 1.0),
        ([1], [1], 1.0, 1.0),
    ],
)
def test_by_hand(scores: list[float], positive: list[int], eleven_point: float, area: float) -> None:
    for order in itertools.islice(itertools.permutations(range(len(scores))), 24):
        found = average_precision(np.array(scores, float)[list(order)], np.array(positive, bool)[list(order)])
        assert found == pytest.approx((eleven_point, area))


def test_area_equals_scikit_learn() -> None:
    from sklearn.metrics import average_precision_score

    random = np.random.default_rng(0)
    for levels in (3, 20, 10_000):
        scores, positive = random.integers(0, levels, 300).astype(float), random.random(300) < 0.2
        assert average_precision(scores, positive).area == pytest.approx(average_precision_score(positive, scores))


def test_eleven_points_by_the_definition() -> None:
    random = np.random.default_rng(1)
    scores, positive = random.permutation(200).astype(float), random.random(200) < 0.1
    ranked = positive[np.argsort(-scores)]
    recall, precision = np.cumsum(ranked) / ranked.sum(), np.cumsum(ranked) / np.arange(1, 201)
    points = [precision[recall >= r / 10 - 1e-12].max() for r in range(11)]
    assert average_precision(scores, positive).eleven_point == pytest.approx(np.mean(points))
