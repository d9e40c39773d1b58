from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.losses import distance_correlation
from training.targets.representations import count_sketch


def rows(n: int, k: int, seed: int) -> torch.Tensor:
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=10, deadline=None)
@given(width=st.integers(3000, 9000), dim=st.sampled_from([256, 1024]), seed=st.integers(0, 99))
def test_squared_distances_keep_their_mean_and_vary_as_stated(width: int, dim: int, seed: int) -> None:
    before = rows(30, width, seed)
    ratio = squared_ratios(before, dim)
    assert abs(float(ratio.mean()) - 1) < 2 * math.sqrt(2 / dim)
    assert float((ratio - 1).pow(2).mean().sqrt()) < 1.5 * math.sqrt(2 / dim)


def test_the_error_is_as_stated_over_the_draws_where_few_values_matter() -> None:
    """As of images, whose low frequencies hold most. Each width has draws of its own."""
    errors = []
    for width in range(3000, 3060):
        ratio = squared_ratios(rows(20, width, 0) / torch.arange(1, width + 1), 256)
        errors.append((ratio - 1).pow(2).mean())
    assert float(torch.stack(errors).mean().sqrt()) < 1.5 * math.sqrt(2 / 256)


def squared_ratios(before: torch.Tensor, dim: int) -> torch.Tensor:
    return (torch.pdist(count_sketch(before, dim)) / torch.pdist(before)) ** 2


def test_the_correlation_with_embeddings_keeps_its_value() -> None:
    before, z = rows(64, 20_000, 0), rows(64, 16, 1)
    before[:, :16] += 40 * z
    exact, sketched = (distance_correlation(z, each).item() for each in (before, count_sketch(before, 8192)))
    assert sketched == pytest.approx(exact, abs=0.01)


def test_it_is_linear_and_the_same_for_every_process() -> None:
    before = rows(6, 500, 0)
    sketched = count_sketch(before, 64)
    assert sketched.shape == (6, 64)
    torch.testing.assert_close(count_sketch(2 * before[2:4] + before[:2], 64), 2 * sketched[2:4] + sketched[:2])
    assert torch.equal(count_sketch(before[1:2], 64), sketched[1:2])


def test_each_value_goes_to_one_sum_with_its_sign() -> None:
    matrix = count_sketch(torch.eye(300), 16)
    assert torch.equal(matrix.abs().sum(dim=1), torch.ones(300))
    assert 0 < (matrix < 0).sum() < 300
