from __future__ import annotations

import math

import dcor
import pytest
import torch
from training.distance_correlation import distance_correlation
from training.loss import VIEWS, DistillLossConfig, Embedded, LossConfig, mvmr_loss
from training.objective import Objective

from mvmr_zoo.errors import ConfigError

WEIGHTS = {"pixels": 0.7, "hog": 1.3}
OFF = {"invariance": 0, "variance": 0, "views": 0}


def batch(seed: int = 0, n: int = 12) -> Embedded:
    generator = torch.Generator().manual_seed(seed)
    z = 0.5 * torch.randn(n, 6, generator=generator)
    z0 = z + 0.1 * torch.randn(n, 6, generator=generator)
    references = {"pixels": torch.randn(n, 6, generator=generator), "hog": z[:, :2] ** 2}
    return Embedded(z, z0, references)


def naive_terms(embedded: Embedded) -> dict[str, float]:
    """The paper's terms, one number at a time."""
    z, z0, references = embedded
    n, d = z.shape

    def hinge(rows: torch.Tensor) -> float:
        total = 0.0
        for column in rows.T.tolist():
            mean = sum(column) / n
            variance = sum((value - mean) ** 2 for value in column) / (n - 1)
            total += max(0.0, 1.0 - math.sqrt(variance + 1e-4))
        return total / d

    def dependence(rows: torch.Tensor) -> float:
        return 1 - dcor.distance_correlation(z.double().numpy(), rows.double().numpy())

    error = sum((a - b) ** 2 for a, b in zip(z.flatten().tolist(), z0.flatten().tolist(), strict=True))
    of_references = {name: dependence(rows) for name, rows in references.items()}
    return {"invariance": error / (n * d), "variance": hinge(z) + hinge(z0), VIEWS: dependence(z0)} | of_references


def test_every_term_equals_the_naive_one_and_the_total_is_their_weighted_sum() -> None:
    config = LossConfig(invariance=2.0, variance=0.5, views=3.0)
    weights = {"invariance": 2.0, "variance": 0.5, VIEWS: 3.0} | WEIGHTS
    found = mvmr_loss(batch(), WEIGHTS, config)
    expected = naive_terms(batch())
    assert {name: term.item() for name, term in found.terms.items()} == pytest.approx(expected, abs=1e-5)
    assert found.total.item() == pytest.approx(sum(weights[k] * v for k, v in expected.items()), abs=1e-5)


def test_dependence_is_maximised_unless_the_released_sign_is_asked_for() -> None:
    related, config = batch(), LossConfig(**OFF)
    unrelated = related._replace(z=torch.randn(12, 6, generator=torch.Generator().manual_seed(9)))
    weights = {"hog": 1.0}
    assert mvmr_loss(related, weights, config).total < mvmr_loss(unrelated, weights, config).total
    released = [mvmr_loss(each, weights, config, sign="released").total for each in (related, unrelated)]
    assert released[0] > released[1]
    assert released[0].item() == pytest.approx(distance_correlation(related.z, related.references["hog"]).item())


def test_the_released_sign_leaves_the_views_alone() -> None:
    config = LossConfig(invariance=0, variance=0, views=1)
    assert mvmr_loss(batch(), {}, config).total == mvmr_loss(batch(), {}, config, sign="released").total


def test_descending_the_loss_raises_the_dependence() -> None:
    z, _, references = batch()
    z.requires_grad_()
    optimizer = torch.optim.Adam([z], lr=0.05)
    before = distance_correlation(z, references["pixels"]).item()
    for _ in range(40):
        optimizer.zero_grad()
        mvmr_loss(Embedded(z, None, references), {"pixels": 1.0}, LossConfig(**OFF)).total.backward()
        optimizer.step()
    assert distance_correlation(z, references["pixels"]).item() > before + 0.1


def test_terms_without_weight_are_left_out_and_need_no_plain_view() -> None:
    config = LossConfig(**OFF)
    assert not config.reads_plain_view
    found = mvmr_loss(batch()._replace(z0=None), {"pixels": 1.0, "hog": 0.0}, config)
    assert set(found.terms) == {"pixels"}
    assert all(LossConfig(**{**OFF, name: 1}).reads_plain_view for name in OFF)


def test_unbiased_estimator_is_the_signed_square() -> None:
    z, _, references = batch()
    found = mvmr_loss(batch(), {"pixels": 1.0}, LossConfig(**OFF, estimator="unbiased"))
    square = dcor.u_distance_correlation_sqr(z.double().numpy(), references["pixels"].double().numpy())
    assert found.total.item() == pytest.approx(1 - square, abs=1e-5)


def test_past_rows_join_the_statistic_without_gradient() -> None:
    now, before = batch(0), batch(1, n=20)
    now.z.requires_grad_()
    found = mvmr_loss(now, WEIGHTS, LossConfig(invariance=0, variance=0), past=before)
    for name in WEIGHTS:
        joined = [torch.cat(pair) for pair in ((now.z, before.z), (now.references[name], before.references[name]))]
        assert found.terms[name].item() == pytest.approx(1 - distance_correlation(*joined).item(), abs=1e-6)
    found.total.backward()
    assert now.z.grad is not None
    assert before.z.grad is None


def test_regression_onto_the_centred_target() -> None:
    z, _, references = batch()
    mean = references["pixels"].mean(dim=0)
    objective = Objective(loss=LossConfig(**OFF), regression=2.0, target="pixels", target_mean=mean)
    found = objective(batch())
    cosines = [float(a @ b / a.norm() / b.norm()) for a, b in zip(z, references["pixels"] - mean, strict=True)]
    assert found.terms["regression"].item() == pytest.approx(1 - sum(cosines) / len(z), abs=1e-5)
    assert found.total.item() == pytest.approx(2 * found.terms["regression"].item())


def test_gradient_of_a_collapsed_batch_is_finite() -> None:
    z = torch.zeros(8, 4, requires_grad=True)
    references = {"pixels": torch.randn(8, 4, generator=torch.Generator().manual_seed(0))}
    objective = Objective(loss=LossConfig(), weights={"pixels": 1.0}, regression=1.0, target="pixels")
    objective(Embedded(z, z * 1.0, references)).total.backward()
    assert torch.isfinite(z.grad).all()


def test_half_precision_embeddings_are_compared_in_single() -> None:
    full, config = batch(n=32), LossConfig()
    half = Embedded(full.z.half(), full.z0.half(), {name: rows.half() for name, rows in full.references.items()})
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = mvmr_loss(half, WEIGHTS, config)
    assert found.total.dtype == torch.float32
    torch.testing.assert_close(found.total, mvmr_loss(full, WEIGHTS, config).total, rtol=0, atol=2e-3)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"invariance": -1}, r"loss\.invariance"),
        ({"std_margin": 0}, r"loss\.std_margin"),
        ({"memory": -1}, r"loss\.memory"),
        ({"regression": -1}, r"loss\.regression"),
        ({**OFF, "teacher": 0}, "one weight above 0"),
    ],
)
def test_options_that_cannot_be(options: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        DistillLossConfig(**options)
