from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.losses import Estimator, distance_correlation, distance_covariance
from training.losses.distance_correlation import pairwise_distances

ESTIMATORS = ["biased", "unbiased"]


def batches(seed: int, n: int = 24, dx: int = 5, dy: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Two dependent batches in float64."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, dx, generator=generator, dtype=torch.float64)
    y = x[:, :1] ** 2 + 0.5 * torch.randn(n, dy, generator=generator, dtype=torch.float64)
    return x, y


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(4, 60))
def test_agrees_with_the_dcor_library(seed: int, n: int) -> None:
    import dcor  # compiles functions for 7 s

    x, y = batches(seed, n)
    biased = distance_correlation(x, y, "biased").item()
    unbiased = distance_correlation(x, y, "unbiased").item()
    assert biased == pytest.approx(dcor.distance_correlation(x.numpy(), y.numpy()), abs=1e-6)
    assert unbiased == pytest.approx(dcor.u_distance_correlation_sqr(x.numpy(), y.numpy()), abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(4, 60))
def test_the_covariance_agrees_with_the_dcor_library(seed: int, n: int) -> None:
    import dcor  # compiles functions for 7 s

    x, y = batches(seed, n)
    biased = distance_covariance(x, y, "biased").item()
    unbiased = distance_covariance(x, y, "unbiased").item()
    assert biased == pytest.approx(dcor.distance_covariance(x.numpy(), y.numpy()), abs=1e-6)
    assert unbiased == pytest.approx(dcor.u_distance_covariance_sqr(x.numpy(), y.numpy()), abs=1e-6)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_covariance_scales_as_the_batches_do(estimator: Estimator) -> None:
    x, y = batches(0)
    power = 1 if estimator == "unbiased" else 0.5
    scaled = distance_covariance(3 * x, 4 * y, estimator)
    torch.testing.assert_close(scaled, 12**power * distance_covariance(x, y, estimator))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_covariance_of_a_constant_batch_is_zero_with_finite_gradients(estimator: Estimator) -> None:
    x, _ = batches(0)
    x.requires_grad_()
    value = distance_covariance(x, torch.ones_like(x), estimator)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-9)
    assert torch.isfinite(x.grad).all()
    few = x[:8].detach().requires_grad_()  # a check takes a time in proportion to their number
    assert torch.autograd.gradcheck(lambda a: distance_covariance(a, batches(1, n=8)[1], estimator), few)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_symmetric_and_invariant(estimator) -> None:
    x, y = batches(0)
    value = distance_correlation(x, y, estimator)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    turn = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2)))[0]
    for a, b in ((y, x), (x + 7, y - 3), (x * 0.01, y * 50), (x @ turn, y), (x[order], y[order])):
        torch.testing.assert_close(distance_correlation(a, b, estimator), value, rtol=0, atol=1e-9)
    torch.testing.assert_close(
        distance_correlation(x, 3 * x @ turn + 1, estimator), torch.ones((), dtype=torch.float64)
    )


def test_independence() -> None:
    """The unbiased estimator is about 0; the biased one is not, as DESIGN's table of departures says."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(256, 128, generator=generator), torch.randn(256, 128, generator=generator)
    assert distance_correlation(x, y, "biased").item() == pytest.approx(0.82, abs=0.02)
    assert abs(distance_correlation(x, y, "unbiased").item()) < 0.02


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("case", ["all rows equal", "two rows equal", "four rows", "one batch constant"])
def test_gradients_are_finite(estimator, case: str) -> None:
    x, y = (batch.float() for batch in batches(3, n=4 if case == "four rows" else 16))
    if case == "all rows equal":
        x, y = torch.ones_like(x), torch.ones_like(y)
    if case == "two rows equal":
        x[1] = x[0]
        y[1] = y[0]
    if case == "one batch constant":
        y = torch.ones_like(y)
    x.requires_grad_()
    y.requires_grad_()
    value = distance_correlation(x, y, estimator)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(y.grad).all()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_gradient_equals_finite_differences(estimator) -> None:
    x, y = batches(4, n=8)
    x.requires_grad_()
    y.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: distance_correlation(a, b, estimator), (x, y))


def test_fp32_inside_mixed_precision() -> None:
    x, y = (batch.float() for batch in batches(5, n=64))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = distance_correlation(x, y)
        half = distance_correlation(x.bfloat16(), y.bfloat16())
    assert mixed.dtype == half.dtype == torch.float32
    torch.testing.assert_close(mixed, distance_correlation(x, y))


def test_distances_are_euclidean() -> None:
    x, _ = batches(6)
    naive = [[float(np.linalg.norm(a - b)) for b in x.numpy()] for a in x.numpy()]
    np.testing.assert_allclose(pairwise_distances(x).numpy(), naive, atol=1e-7)


def test_batches_that_cannot_be_compared() -> None:
    x, y = batches(0)
    with pytest.raises(ValueError, match="needs equal numbers"):
        distance_correlation(x, y[:-1])
    for function in (distance_correlation, distance_covariance):
        with pytest.raises(ValueError, match="at least 4"):
            function(x[:3], y[:3], "unbiased")
        with pytest.raises(ValueError, match="at least 2"):
            function(x[:1], y[:1])


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_stays_none(estimator: Estimator, value: float) -> None:
    x, y = torch.randn(8, 3), torch.randn(8, 5)
    x[2, 1] = value
    assert not torch.isfinite(distance_correlation(x, y, estimator))
    assert not torch.isfinite(distance_correlation(y, x, estimator))


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
@pytest.mark.parametrize("scale", [1e-6, 1e9])
def test_scale_does_not_matter_in_fp32(estimator: Estimator, scale: float) -> None:
    x, y = torch.randn(16, 3), torch.randn(16, 3)
    expected = distance_correlation(x, x + y, estimator)
    torch.testing.assert_close(distance_correlation(scale * x, scale * (x + y), estimator), expected)
