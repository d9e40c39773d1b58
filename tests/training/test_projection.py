from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training.distance_correlation import Estimator, centred_distances, correlate
from training.projection import Projection, dcor_change_bound, largest_change_bound


def rows(n: int, k: int, seed: int) -> torch.Tensor:
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=60)
@given(
    n=st.integers(4, 40), outputs=st.integers(1, 60), seed=st.integers(0, 999),
    estimator=st.sampled_from(["biased", "unbiased"]), linked=st.floats(0, 1),
)  # fmt: skip
def test_no_other_batch_sees_more_than_the_bound(
    n: int, outputs: int, seed: int, estimator: Estimator, linked: float
) -> None:
    before = rows(n, 50, seed)
    after = torch.from_numpy(Projection(50, outputs, seed)(before.float().numpy())).double()
    other = linked * before + (1 - linked) * rows(n, 50, seed + 1)
    a, b, c = centred_distances(before, after, other, estimator=estimator)
    first, second = (square(correlate(x, c, estimator=estimator), estimator) for x in (a, b))
    assert abs(first - second) <= dcor_change_bound(before, after, estimator) + 1e-6


def square(correlation: torch.Tensor, estimator: Estimator) -> float:
    """The unbiased estimate is a square already."""
    return float(correlation**2 if estimator == "biased" else correlation)


def test_the_bound_shrinks_with_more_outputs() -> None:
    before = (rows(64, 3000, 0) / torch.arange(1, 3001)).float().numpy()  # few directions matter, as of images
    bounds = [largest_change_bound(before, Projection(3000, outputs, 0)(before)) for outputs in (64, 512, 4096)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] < 0.1


def test_distances_keep_their_mean_and_vary_as_stated() -> None:
    before = rows(40, 6000, 1).float()
    after = torch.from_numpy(Projection(6000, 512, 3)(before.numpy()))
    ratio = torch.pdist(after) / torch.pdist(before)
    assert abs(float((ratio**2).mean()) - 1) < 0.03
    assert float(ratio.std()) == pytest.approx(1 / np.sqrt(2 * 512), rel=0.25)


def test_the_seed_decides_everything() -> None:
    values = rows(5, 5000, 2).float().numpy()
    first = Projection(5000, 16, 0)(values)
    np.testing.assert_array_equal(Projection(5000, 16, 0)(values), first)
    assert np.abs(Projection(5000, 16, 1)(values) - first).max() > 0.1
    np.testing.assert_allclose(Projection(5000, 16, 0)(values[2:3]), first[2:3], rtol=1e-4, atol=1e-3)


def test_equal_rows_do_not_change() -> None:
    assert dcor_change_bound(torch.ones(4, 3), torch.ones(4, 2)) == 0
