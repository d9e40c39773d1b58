from __future__ import annotations

import math

import dcor
import pytest
import torch

from training.distance_correlation import distance_correlation
from training.loss import LossConfig, distillation_loss


def inputs(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    z = 0.5 * torch.randn(12, 6, generator=generator)
    z0 = z + 0.1 * torch.randn(12, 6, generator=generator)
    return z, z0, torch.randn(12, 6, generator=generator)


def naive_terms(z: torch.Tensor, z0: torch.Tensor, teacher: torch.Tensor) -> dict[str, float]:
    """The paper's terms, one number at a time."""
    n, d = z.shape

    def hinge(batch: torch.Tensor) -> float:
        total = 0.0
        for column in batch.T.tolist():
            mean = sum(column) / n
            variance = sum((value - mean) ** 2 for value in column) / (n - 1)
            total += max(0.0, 1.0 - math.sqrt(variance + 1e-4))
        return total / d

    cosines = [float(a @ b / a.norm() / b.norm()) for a, b in zip(z, teacher, strict=True)]
    return {
        "invariance": sum((a - b) ** 2 for a, b in zip(z.flatten().tolist(), z0.flatten().tolist(), strict=True))
        / (n * d),
        "variance": hinge(z) + hinge(z0),
        "views": 1 - dcor.distance_correlation(z.double().numpy(), z0.double().numpy()),
        "teacher": 1 - dcor.distance_correlation(z.double().numpy(), teacher.double().numpy()),
        "regression": 1 - sum(cosines) / n,
    }


def test_every_term_equals_the_naive_one_and_the_total_is_their_weighted_sum() -> None:
    z, z0, teacher = inputs()
    weights = {"invariance": 2.0, "variance": 0.5, "views": 3.0, "teacher": 0.7, "regression": 1.5}
    terms = distillation_loss(z, z0, teacher, LossConfig(**weights))
    expected = naive_terms(z, z0, teacher)
    for name, value in expected.items():
        assert getattr(terms, name).item() == pytest.approx(value, abs=1e-5), name
    assert terms.total.item() == pytest.approx(sum(weights[k] * v for k, v in expected.items()), abs=1e-5)


def test_dependence_is_maximised() -> None:
    """The released code adds dCor, and so minimises it; here more dependence on the teacher is less loss."""
    z, z0, teacher = inputs()
    config = LossConfig(invariance=0, variance=0, views=0, teacher=1)
    unrelated = distillation_loss(z, z0, teacher, config).total
    assert distillation_loss(teacher.clone(), z0, teacher, config).total < unrelated


def test_descending_the_loss_raises_the_dependence() -> None:
    z, _, teacher = inputs()
    config = LossConfig(invariance=0, variance=0, views=0, teacher=1)
    z.requires_grad_()
    optimizer = torch.optim.Adam([z], lr=0.05)
    before = distance_correlation(z, teacher).item()
    for _ in range(40):
        optimizer.zero_grad()
        distillation_loss(z, None, teacher, config).total.backward()
        optimizer.step()
    assert distance_correlation(z, teacher).item() > before + 0.1


def test_terms_without_weight_are_zero_and_need_no_plain_view() -> None:
    z, _, teacher = inputs()
    config = LossConfig(invariance=0, variance=0, views=0, teacher=0, regression=1)
    assert not config.needs_plain_view
    terms = distillation_loss(z, None, teacher, config)
    assert terms.invariance == terms.variance == terms.views == terms.teacher == 0
    assert terms.total == terms.regression > 0


def test_unbiased_estimator() -> None:
    z, z0, teacher = inputs()
    config = LossConfig(invariance=0, variance=0, views=0, teacher=1, estimator="unbiased")
    expected = 1 - dcor.u_distance_correlation_sqr(z.double().numpy(), teacher.double().numpy())
    assert distillation_loss(z, z0, teacher, config).total.item() == pytest.approx(expected, abs=1e-5)


def test_gradient_of_a_collapsed_batch_is_finite() -> None:
    z = torch.zeros(8, 4, requires_grad=True)
    teacher = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    distillation_loss(z, z * 1.0, teacher, LossConfig(regression=1)).total.backward()
    assert torch.isfinite(z.grad).all()
