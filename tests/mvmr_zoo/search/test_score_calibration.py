from __future__ import annotations

import numpy as np
import pytest

from mvmr_zoo.inference import unit
from mvmr_zoo.search.score_calibration import percentile_text, random_pair_quantiles, score_percentile


def test_a_percentile_is_the_share_of_pairs_that_are_less_similar() -> None:
    vectors = unit(np.random.default_rng(0).standard_normal((400, 16)).astype(np.float32))
    cosines = (vectors @ vectors.T)[np.triu_indices(400, 1)]
    quantiles = random_pair_quantiles(vectors)
    for score in (-0.3, 0.0, 0.2, 0.5):
        found = score_percentile(quantiles, score)
        assert found == pytest.approx(100 * (cosines < score).mean(), abs=1.5)
    assert score_percentile(quantiles, 1.1) == 100
    assert random_pair_quantiles(vectors[:19]) == ()
    assert score_percentile((), 0.5) is None


@pytest.mark.parametrize(("percentile", "text"), [(100, "100.0"), (99.97, "99.9"), (50.04, "50.0"), (0, "0.0")])
def test_only_the_highest_percentile_is_shown_as_100(percentile: float, text: str) -> None:
    assert percentile_text(percentile) == text
