from __future__ import annotations

import pytest

from mvmr_zoo.errors import ConfigError, DataError
from training.config import ViewConfig
from training.data import Plan, RemainingBatches, SizeStage


def plan(**changes: object) -> Plan:
    values = {
        "photos": 22, "batch_size": 5, "epochs": 3, "seed": 1,
        "sizes": (SizeStage(start=0.0, px=32), SizeStage(start=0.5, px=64)),
    }  # fmt: skip
    return Plan(**{**values, **changes})


def test_every_pass_shows_every_photo_at_most_once() -> None:
    made = plan()
    assert (made.batches_per_epoch, made.total_steps) == (4, 12)
    for epoch in range(3):
        seen = [draw.photo for step in range(4) for draw in made.batch(4 * epoch + step)]
        assert len(seen) == len(set(seen)) == 20
        assert set(seen) <= set(range(22))
        assert {draw.epoch for step in range(4) for draw in made.batch(4 * epoch + step)} == {epoch}
    assert made.batch(0) != made.batch(4)


def test_a_step_is_a_pure_function_of_its_number() -> None:
    made = plan()
    everything = list(RemainingBatches(made, 0))
    assert list(RemainingBatches(plan(), 7)) == everything[7:]
    assert len(RemainingBatches(made, 7)) == 12
    assert list(RemainingBatches(plan(seed=2), 0)) != everything
    seeds = [draw.seed for step in everything for draw in step]
    assert len(seeds) == len(set(seeds))


def test_ranks_share_every_batch() -> None:
    made = plan(batch_size=6)
    whole = list(RemainingBatches(made, 2))
    parts = [list(RemainingBatches(made, 2, rank=rank, ranks=3)) for rank in range(3)]
    assert [[*a, *b, *c] for a, b, c in zip(*parts, strict=True)] == whole
    assert {len(batch) for part in parts for batch in part} == {2}


def test_accumulation_makes_steps_of_several_batches() -> None:
    made = plan(accumulate=2)
    assert (made.total_steps, made.total_batches) == (6, 12)
    assert [made.size_at(number) for number in range(12)] == [32] * 6 + [64] * 6


def test_sizes_follow_the_run() -> None:
    made = plan()
    assert [made.size_at(step) for step in range(12)] == [32] * 6 + [64] * 6
    assert {draw.px for draw in made.batch(11)} == {64}


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(DataError, match="fewer than one batch of 64"):
        plan(batch_size=64)


def test_sizes_must_cover_the_run() -> None:
    for starts in ([], [0.1], [0.0, 0.0], [0.0, 1.0], [0.0, 0.6, 0.3]):
        with pytest.raises(ConfigError, match=r"views\.sizes"):
            ViewConfig(sizes=tuple(SizeStage(start=start, px=32) for start in starts))
