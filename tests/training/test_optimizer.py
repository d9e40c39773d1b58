from __future__ import annotations

import pytest
import torch
from torch import nn
from training.lars import LARS
from training.optimiser import make_optimizer, scheduled_optimizer

from training.config import OptimConfig


def test_lars_takes_the_papers_step() -> None:
    """One hand-computed update of a matrix (trust ratio) and of a vector (plain momentum), twice."""
    matrix, vector = nn.Parameter(torch.tensor([[3.0, 4.0]])), nn.Parameter(torch.tensor([2.0]))
    optimizer = LARS([matrix, vector], lr=0.5, momentum=0.9, weight_decay=0.1, trust=0.01)
    expected_matrix, expected_vector = matrix.detach().clone(), vector.detach().clone()
    velocity_matrix, velocity_vector = torch.zeros(1, 2), torch.zeros(1)
    for _ in range(2):
        matrix.grad, vector.grad = torch.tensor([[1.0, 0.0]]), torch.tensor([0.5])
        decayed = torch.tensor([[1.0, 0.0]]) + 0.1 * expected_matrix
        velocity_matrix = 0.9 * velocity_matrix + 0.01 * expected_matrix.norm() / decayed.norm() * decayed
        velocity_vector = 0.9 * velocity_vector + (0.5 + 0.1 * expected_vector)
        expected_matrix = expected_matrix - 0.5 * velocity_matrix
        expected_vector = expected_vector - 0.5 * velocity_vector
        optimizer.step()
    torch.testing.assert_close(matrix.detach(), expected_matrix)
    torch.testing.assert_close(vector.detach(), expected_vector)


def test_lars_survives_zero_weights_and_gradients() -> None:
    zero = nn.Parameter(torch.zeros(2, 2))
    optimizer = LARS([zero], lr=1.0)
    zero.grad = torch.zeros(2, 2)
    optimizer.step()
    assert torch.isfinite(zero).all()
    zero.grad = torch.ones(2, 2)
    optimizer.step()
    assert (zero < 0).all()


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "lars"])
def test_every_optimiser_descends_and_decays_matrices_only(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))
    x = torch.randn(32, 4)
    optimizer = make_optimizer(model, OptimConfig(name=name, peak_lr=0.05, weight_decay=0.01))
    decays = {p.ndim > 1: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decays == {True: 0.01, False: 0.0}
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = ((model(x) - x[:, :1]) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_the_learning_rate_follows_the_optimiser_step() -> None:
    model = nn.Linear(2, 2)
    made = scheduled_optimizer(model, OptimConfig(peak_lr=1.0, warmup=0.2, final_lr=0.1), total_steps=10)
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(11):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[-1] == pytest.approx(0.1)
    assert rates[2:] == sorted(rates[2:], reverse=True)
