from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mvmr_zoo.errors import ConfigError
from training.config import OptimConfig
from training.optimizer import lr_factor, make_optimizer, reschedule, scheduled_optimizer


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_every_optimizer_descends(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))
    x = torch.randn(32, 4)
    optimizer = make_optimizer(model, OptimConfig(name=name, peak_lr=0.05, weight_decay=0.01))
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = ((model(x) - x[:, :1]) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("decay_vectors", [False, True])
def test_vectors_decay_where_it_is_chosen(decay_vectors: bool) -> None:
    """Without gradients, a step of decoupled decay is lr times decay times the weight."""
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))
    nn.init.ones_(model[0].bias)
    config = OptimConfig(name="adamw", peak_lr=0.5, weight_decay=0.1, decay_vectors=decay_vectors)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    make_optimizer(model, config).step()
    for name, p in model.named_parameters():
        kept = 0.95 if p.ndim > 1 or decay_vectors else 1.0
        torch.testing.assert_close(p.detach(), kept * before[name], msg=name)


def test_the_learning_rate_follows_the_optimizer_step() -> None:
    model = nn.Linear(2, 2)
    config = OptimConfig(peak_lr=3.0, warmup=0.2, final_lr=0.1)
    made = scheduled_optimizer(model, config, total_steps=10)
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(12):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([3 * lr_factor(config, 10, step) for step in range(12)])


def test_warm_up_then_cosine() -> None:
    config = OptimConfig(warmup=10 / 110, final_lr=0.1)
    factors = [lr_factor(config, 110, step) for step in range(120)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    expected = [0.1 + 0.9 * (1 + math.cos(math.pi * step / 100)) / 2 for step in range(101)]
    assert factors[10:111] == pytest.approx(expected)
    assert factors[110:] == pytest.approx([0.1] * 10)
    assert lr_factor(OptimConfig(warmup=0), 5, 0) == 1.0


def test_warm_up_stable_decay() -> None:
    config = OptimConfig(schedule="wsd", warmup=0.1, decay=0.25, final_lr=0.01)
    factors = [lr_factor(config, 100, step) for step in range(105)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert factors[10:75] == [1.0] * 65
    assert factors[75:100] == pytest.approx([0.01 + 0.99 * (1 - math.sqrt(step / 25)) for step in range(25)])
    assert factors[100:] == pytest.approx([0.01] * 5)


def test_a_stable_phase_does_not_depend_on_the_length_of_the_run() -> None:
    """So that a run can be extended: until the decay begins, a longer run has the same rates."""
    config = OptimConfig(schedule="wsd", warmup=0, decay=0.2)
    short, long = ([lr_factor(config, total, step) for step in range(80)] for total in (100, 200))
    assert short == long


def test_a_decay_longer_than_what_the_warm_up_leaves() -> None:
    config = OptimConfig(schedule="wsd", warmup=0.5, decay=0.9, final_lr=0)
    factors = [lr_factor(config, 10, step) for step in range(11)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[5:] == sorted(factors[5:], reverse=True)
    assert factors[10] == 0


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
def test_a_constant_warm_up_holds_the_peak(schedule: str) -> None:
    config = OptimConfig(schedule=schedule, warmup=0.3, warmup_shape="constant")
    linear = OptimConfig(schedule=schedule, warmup=0.3)
    assert [lr_factor(config, 20, step) for step in range(6)] == [1.0] * 6
    assert [lr_factor(config, 20, step) for step in range(6, 20)] == [lr_factor(linear, 20, s) for s in range(6, 20)]


def test_a_warm_up_from_a_given_share_of_the_peak() -> None:
    config = OptimConfig(warmup=0.2, initial_lr=0.1)
    assert [lr_factor(config, 20, step) for step in range(5)] == pytest.approx([0.1, 0.325, 0.55, 0.775, 1.0])
    assert lr_factor(OptimConfig(warmup=0.2, initial_lr=0.0), 20, 0) == 0


def test_a_saved_state_continues_with_another_configuration() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    old = scheduled_optimizer(model, OptimConfig(peak_lr=1.0, warmup=0), total_steps=10)
    for _ in range(4):
        old["optimizer"].step()
        old["lr_scheduler"]["scheduler"].step()
    states = old["optimizer"].state_dict(), old["lr_scheduler"]["scheduler"].state_dict()
    config = OptimConfig(peak_lr=0.2, warmup=0, weight_decay=0.3, schedule="wsd", decay=0.5)
    reschedule(*states, config, 4, 20)
    new = scheduled_optimizer(model, config, total_steps=20)
    new["optimizer"].load_state_dict(states[0])
    new["lr_scheduler"]["scheduler"].load_state_dict(states[1])
    rates = []
    for _ in range(4, 20):
        rates.append(new["optimizer"].param_groups[1]["lr"])
        new["optimizer"].step()
        new["lr_scheduler"]["scheduler"].step()
    assert rates == pytest.approx([0.2 * lr_factor(config, 20, step) for step in range(4, 20)])
    assert [group["weight_decay"] for group in new["optimizer"].param_groups] == [0.3, 0.0]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"initial_lr": 2}, r"optim\.initial_lr is 2; expected a share in \[0, 1\]"),
        ({"initial_lr": 0.5, "warmup_shape": "constant"}, r"optim\.initial_lr is 0\.5; expected no value"),
        ({"decay": 0}, r"optim\.decay is 0; expected a share in \(0, 1\)"),
        ({"decay": 1}, r"optim\.decay is 1"),
        ({"ema": 1}, r"optim\.ema is 1; expected in \[0, 1\)"),
        ({"warmup": 1}, r"optim\.warmup is 1"),
        ({"final_lr": 1.5}, r"optim\.final_lr is 1\.5"),
        ({"peak_lr": math.nan}, r"optim\.peak_lr is nan"),
        ({"clip_norm": 0}, r"optim\.clip_norm is 0"),
        ({"weight_decay": -1}, r"optim\.weight_decay is -1"),
    ],
)
def test_options_that_cannot_be(options: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        OptimConfig(**options)
