from __future__ import annotations

import math

import pytest
import torch

from mvmr_zoo.errors import ConfigError
from training.losses import VIEWS, MVMRLoss, distance_correlation

from .batches import OFF, Batch, batch

WEIGHTS = {"pixels": 0.7, "hog": 1.3}


def naive_terms(embedded: Batch) -> dict[str, float]:
    """The paper's terms, one number at a time."""
    import dcor  # compiles functions for 7 s

    z, z0, representations = embedded
    assert z0 is not None
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
    dependences = {name: dependence(rows) for name, rows in representations.items()}
    return {"invariance": error / (n * d), "variance": hinge(z) + hinge(z0), VIEWS: dependence(z0)} | dependences


def test_every_term_equals_the_naive_one_and_the_total_is_their_weighted_sum() -> None:
    weights = {"invariance": 2.0, "variance": 0.5, VIEWS: 3.0} | WEIGHTS
    found = MVMRLoss(WEIGHTS, invariance=2.0, variance=0.5, views=3.0)(*batch())
    expected = naive_terms(batch())
    assert {name: term.item() for name, term in found.terms.items()} == pytest.approx(expected, abs=1e-5)
    assert found.total.item() == pytest.approx(sum(weights[k] * v for k, v in expected.items()), abs=1e-5)


def test_without_weights_every_representation_counts_once() -> None:
    found = MVMRLoss()(*batch())
    expected = naive_terms(batch())
    assert found.terms.keys() == expected.keys()
    assert found.total.item() == pytest.approx(sum(expected.values()), abs=1e-5)


def test_dependence_is_maximized_unless_the_released_sign_is_chosen() -> None:
    related = batch()
    unrelated = related._replace(z=torch.randn(12, 6, generator=torch.Generator().manual_seed(9)))
    paper, released = (MVMRLoss({"hog": 1.0}, sign=sign, **OFF) for sign in ("paper", "released"))
    assert paper(*related).total < paper(*unrelated).total
    assert released(*related).total > released(*unrelated).total
    correlation = distance_correlation(related.z, related.representations["hog"])
    assert released(*related).total.item() == pytest.approx(correlation.item())


def test_the_released_sign_leaves_the_views_alone() -> None:
    paper, released = (MVMRLoss({}, invariance=0, variance=0, sign=sign) for sign in ("paper", "released"))
    assert paper(*batch()).total == released(*batch()).total


def test_descending_the_loss_raises_the_dependence() -> None:
    z, _, representations = batch()
    z.requires_grad_()
    loss, optimizer = MVMRLoss({"pixels": 1.0}, **OFF), torch.optim.Adam([z], lr=0.05)
    before = distance_correlation(z, representations["pixels"]).item()
    for _ in range(40):
        optimizer.zero_grad()
        loss(z, None, representations).total.backward()
        optimizer.step()
    assert distance_correlation(z, representations["pixels"]).item() > before + 0.1


def test_terms_without_weight_are_left_out() -> None:
    loss = MVMRLoss({"pixels": 1.0, "hog": 0.0}, **OFF)
    assert not loss.reads_plain_view
    z, _, representations = batch()
    del representations["hog"]
    assert set(loss(z, None, representations).terms) == {"pixels"}
    assert all(MVMRLoss({}, **{**OFF, name: 1}).reads_plain_view for name in OFF)


def test_variance_alone_works_on_one_view() -> None:
    z, z0, _ = batch()
    loss = MVMRLoss({}, invariance=0, views=0)
    one, other, both = loss(z, None, {}), loss(z0, None, {}), loss(z, z0, {})
    torch.testing.assert_close(one.total + other.total, both.total)


@pytest.mark.parametrize("name", ["invariance", "views"])
def test_a_plain_view_that_a_term_reads_is_not_left_out(name: str) -> None:
    loss = MVMRLoss({}, **{**OFF, name: 1.0})
    with pytest.raises(ConfigError, match=r"z0 is None; .* need the embeddings \(N, P\)"):
        loss(batch().z, None, {})


def test_a_weighted_representation_that_is_missing_is_named() -> None:
    z, z0, representations = batch()
    del representations["hog"]
    with pytest.raises(
        ConfigError, match=r"hog has a weight, but is missing\. The given representations are \['pixels'\]"
    ):
        MVMRLoss(WEIGHTS)(z, z0, representations)


def test_the_unbiased_estimator_is_the_signed_square() -> None:
    import dcor

    z, _, representations = batch()
    found = MVMRLoss({"pixels": 1.0}, estimator="unbiased", **OFF)(z, None, representations)
    square = dcor.u_distance_correlation_sqr(z.double().numpy(), representations["pixels"].double().numpy())
    assert found.total.item() == pytest.approx(1 - square, abs=1e-5)


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_the_gradient_of_a_collapsed_batch_is_finite(estimator: str) -> None:
    z = torch.zeros(8, 4, requires_grad=True)
    pixels = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    MVMRLoss({"pixels": 1.0}, estimator=estimator)(z, z * 1.0, {"pixels": pixels}).total.backward()
    assert torch.isfinite(z.grad).all()


def test_half_precision_embeddings_are_compared_in_single() -> None:
    full, loss = batch(n=32), MVMRLoss(WEIGHTS)
    half = Batch(full.z.half(), full.z0.half(), {name: rows.half() for name, rows in full.representations.items()})
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(*half)
    assert found.total.dtype == torch.float32
    torch.testing.assert_close(found.total, loss(*full).total, rtol=0, atol=2e-3)


@pytest.mark.parametrize(
    ("weights", "options", "named"),
    [
        ({}, {"invariance": -1}, r"loss\.invariance is -1"),
        ({}, {"views": math.inf}, r"loss\.views is inf"),
        ({}, {"std_margin": 0}, r"loss\.std_margin is 0"),
        ({"hog": math.nan}, {}, r"loss\.hog is nan"),
        ({VIEWS: 1.0}, {}, "name of a representation is views"),
    ],
)
def test_weights_that_cannot_be(weights: dict[str, float], options: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        MVMRLoss(weights, **options)
