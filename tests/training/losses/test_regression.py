from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mvmr_zoo.errors import ConfigError
from training.losses import DistillationLoss, MVMRLoss
from training.losses.regression import TEACHER

from .batches import OFF, batch

N, T = 12, 6
ONLY_SIMILARITY = {**OFF, "teacher": 0.0, "similarity": 1.0}


def embeddings(seed: int = 0, n: int = N) -> tuple[Tensor, Tensor]:
    """`(n, T)` of a student and of its teacher, which is not centered."""
    z, _, representations = batch(seed, n)
    return z, representations["pixels"] + 3


def bank_loss(rows: int, **options: object) -> DistillationLoss:
    return DistillationLoss(**{**ONLY_SIMILARITY, "memory_bank": rows, "teacher_dim": T, **options})


def test_the_teacher_is_one_more_representation() -> None:
    import dcor  # compiles functions for 7 s

    z, z0, representations = batch()
    target = representations["pixels"]
    found = DistillationLoss(teacher=2.0, invariance=0.5, views=3.0)(z, z0, {TEACHER: target})
    plain = MVMRLoss({TEACHER: 2.0}, invariance=0.5, views=3.0)(z, z0, {TEACHER: target})
    assert found.total == plain.total
    assert found.terms == plain.terms
    expected = 1 - dcor.distance_correlation(z.double().numpy(), target.double().numpy())
    assert found.terms["teacher"].item() == pytest.approx(expected, abs=1e-5)


def test_regression_onto_the_centered_teacher() -> None:
    z, target = embeddings()
    mean = target.mean(dim=0)
    loss = DistillationLoss(teacher=0, regression=2.0, teacher_mean=mean, **OFF)
    found = loss(z, None, {TEACHER: target})
    cosines = [float(a @ b / a.norm() / b.norm()) for a, b in zip(z, target - mean, strict=True)]
    assert found.terms["regression"].item() == pytest.approx(1 - sum(cosines) / N, abs=1e-5)
    assert found.total.item() == pytest.approx(2 * found.terms["regression"].item())
    without = DistillationLoss(teacher=0, regression=2.0, **OFF)
    assert abs(without(z, None, {TEACHER: target}).total.item() - found.total.item()) > 1e-3


def naive_divergence(z: Tensor, target: Tensor, bank: Tensor, temperature: float) -> float:
    """KL(teacher || student), one image and one past embedding at a time."""
    total = 0.0
    for student, teacher in zip(z.double(), target.double(), strict=True):

        def shares(row: Tensor) -> list[float]:
            powers = [math.exp(float(row @ past / row.norm() / past.norm()) / temperature) for past in bank.double()]
            return [power / sum(powers) for power in powers]

        total += sum(p * math.log(p / q) for p, q in zip(shares(teacher), shares(student), strict=True))
    return total / len(z)


def test_the_similarity_term_equals_the_naive_one() -> None:
    mean = torch.full((T,), 3.0)
    loss = bank_loss(20, teacher_mean=mean, similarity=0.5, temperature=0.3)
    past = embeddings(1)[1]
    assert "similarity" not in loss(embeddings(1)[0], None, {TEACHER: past}).terms  # nothing to compare with yet
    z, target = embeddings()
    found = loss(z, None, {TEACHER: target})
    expected = naive_divergence(z, target - mean, past - mean, 0.3)
    assert found.terms["similarity"].item() == pytest.approx(expected, rel=1e-4)
    assert found.total.item() == pytest.approx(0.5 * expected, rel=1e-4)


def test_a_student_equal_to_its_teacher_has_no_divergence() -> None:
    loss = bank_loss(20)
    loss(*_arguments(1))
    target = embeddings()[1].requires_grad_()
    found = loss(target, None, {TEACHER: target.detach()})
    assert found.total.item() == pytest.approx(0, abs=1e-6)
    z = embeddings()[0].requires_grad_()
    loss(z, None, {TEACHER: target.detach()}).total.backward()
    assert z.grad is not None
    assert z.grad.abs().max() > 0


def _arguments(seed: int, n: int = N) -> tuple[Tensor, None, dict[str, Tensor]]:
    z, target = embeddings(seed, n)
    return z, None, {TEACHER: target}


def test_the_bank_holds_the_last_rows_and_never_the_batch_itself() -> None:
    loss = bank_loss(20)
    targets = [torch.nn.functional.normalize(embeddings(seed)[1], dim=1) for seed in range(3)]
    for seed in range(3):
        z, target = embeddings(seed)
        bank = loss.bank[: int(loss.filled)].clone()
        found = loss(z, None, {TEACHER: target})
        if seed:
            assert found.terms["similarity"].item() == pytest.approx(naive_divergence(z, target, bank, 0.07), rel=1e-3)
    assert int(loss.filled) == 20
    torch.testing.assert_close(loss.bank, torch.cat([targets[2], targets[1]])[:20])
    assert not loss.bank.requires_grad


def test_the_first_batch_has_a_loss_of_zero_that_can_be_descended() -> None:
    z, target = embeddings()
    z.requires_grad_()
    found = bank_loss(20)(z, None, {TEACHER: target})
    found.total.backward()
    assert found.total == 0
    assert found.terms == {}
    assert torch.equal(z.grad, torch.zeros_like(z))


def test_a_bank_smaller_than_a_batch() -> None:
    loss = bank_loss(5)
    for seed in range(2):
        loss(*_arguments(seed))
    assert loss.bank.shape == (5, T)
    torch.testing.assert_close(loss.bank, torch.nn.functional.normalize(embeddings(1)[1], dim=1)[:5])


def test_evaluation_mode_leaves_the_bank_alone() -> None:
    loss = bank_loss(20)
    loss(*_arguments(0))
    before = loss.bank.clone()
    loss.eval()
    assert "similarity" in loss(*_arguments(1)).terms
    assert torch.equal(loss.bank, before)


def test_the_state_resumes_exactly() -> None:
    mean = torch.full((T,), 3.0)
    loss, again = (bank_loss(20, teacher_mean=mean) for _ in range(2))
    loss(*_arguments(0))
    assert set(loss.state_dict()) == {"bank", "filled"}  # the mean is computed again by every run
    again.load_state_dict(loss.state_dict())
    for seed in (1, 2):
        assert loss(*_arguments(seed)).total == again(*_arguments(seed)).total
    assert torch.equal(loss.bank, again.bank)


def test_without_similarity_there_is_no_bank() -> None:
    assert not DistillationLoss(regression=1.0).state_dict()


def test_gradients_stay_finite_and_in_single_precision() -> None:
    loss = bank_loss(20, regression=1.0, teacher=1.0, invariance=1.0, variance=1.0, views=1.0)
    loss(batch(1).z, batch(1).z0, {TEACHER: embeddings(1)[1]})
    z = torch.zeros(N, T, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(z, z * 1.0, {TEACHER: embeddings()[1].bfloat16()})
    assert set(found.terms) == {"invariance", "variance", "views", "teacher", "regression", "similarity"}
    assert found.total.dtype == torch.float32
    found.total.backward()
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"invariance": -1}, r"loss\.invariance is -1"),
        ({"regression": -1}, r"loss\.regression is -1"),
        ({"similarity": math.nan}, r"loss\.similarity is nan"),
        ({**OFF, "teacher": 0}, "at least one positive weight"),
        ({"memory_bank": 0}, r"loss\.memory_bank is 0"),
        ({"temperature": 0}, r"loss\.temperature is 0"),
        ({"similarity": 1}, "teacher_dim is None"),
    ],
)
def test_options_that_cannot_be(options: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        DistillationLoss(**options)
