from __future__ import annotations

import torch
from training.loss import Embedded
from training.memory import Memory


def batch(start: int, n: int = 3) -> Embedded:
    rows = torch.arange(start, start + n, dtype=torch.float32)[:, None]
    return Embedded(rows.requires_grad_(), rows + 0.5, {"pixels": rows * 10})


def test_the_last_rows_are_kept_in_order_and_belong_together() -> None:
    memory = Memory(5)
    assert memory.past(batch(0)) is None
    for start in (0, 3, 6):
        memory.push(batch(start))
    past = memory.past(batch(0))
    assert past.z.flatten().tolist() == [4, 5, 6, 7, 8]
    assert past.z0.flatten().tolist() == [4.5, 5.5, 6.5, 7.5, 8.5]
    assert past.references["pixels"].flatten().tolist() == [40, 50, 60, 70, 80]
    assert not past.z.requires_grad


def test_without_a_plain_view() -> None:
    memory = Memory(2)
    memory.push(batch(0)._replace(z0=None))
    now = batch(0)._replace(z0=None)
    assert memory.past(now).z0 is None
    assert memory.past(batch(0)) is None


def test_what_is_held_survives_a_checkpoint() -> None:
    memory, again = Memory(4), Memory(4)
    memory.push(batch(0))
    again.load_state_dict(memory.state_dict())
    for each in (memory, again):
        each.push(batch(3))
    assert torch.equal(memory.past(batch(0)).z, again.past(batch(0)).z)
    assert torch.equal(memory.past(batch(0)).references["pixels"], again.past(batch(0)).references["pixels"])


def test_rows_of_another_width_are_forgotten() -> None:
    memory = Memory(9)
    memory.push(batch(0))
    wider = batch(3)._replace(references={"pixels": torch.zeros(3, 2)})
    assert memory.past(wider) is None
    memory.push(wider)
    assert memory.past(wider).z.flatten().tolist() == [3, 4, 5]
    other = batch(6)._replace(references={"hog": torch.zeros(3, 2)})
    assert memory.past(other) is None
