from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from demo.trail import MOST_STEPS, Asked, Step, Trail
from mvmr_zoo.errors import ConfigError

CAT = Asked("cat.jpg", Path("c"), (1,))
DOG = Asked("dog.jpg", Path("d"), (2, 3))
SENT = Asked("sent.jpg", Path("s"), vector=np.ones(4, np.float32))


def test_a_step_asks_with_ids_and_vectors_and_no_photo() -> None:
    query = Step((CAT, SENT), (DOG,)).query
    assert (query.like_ids, query.unlike_ids, len(query.unlike)) == ([1], [2, 3], 0)
    np.testing.assert_array_equal(query.like, [SENT.vector])


def test_a_photo_is_added_once_and_may_change_its_sign() -> None:
    step = Step((CAT,)).having(DOG, "like").having(SENT, "unlike")
    assert step == Step((CAT, DOG), (SENT,))
    assert step.having(DOG, "unlike") == Step((CAT,), (SENT, DOG))
    assert step.having(SENT, "like") == Step((CAT, DOG, SENT))


def test_the_only_photo_to_be_like_stays() -> None:
    assert Step((CAT,)).having(CAT, "unlike") == Step((CAT,))
    assert Step((CAT,), (DOG,)).without(0) is None
    assert Step((CAT,), (DOG,)).without(1) == Step((CAT,))
    with pytest.raises(ConfigError):
        _ = Step(()).query


def test_names_count_the_others() -> None:
    assert [step.name for step in (Step((CAT,)), Step((CAT, DOG)), Step((CAT, DOG), (SENT,)))] == [
        "cat.jpg", "cat.jpg + 1", "cat.jpg + 1 - 1",
    ]  # fmt: skip


def test_going_on_from_an_earlier_step_forgets_what_was_ahead() -> None:
    trail = Trail().going(Step((CAT,))).going(Step((DOG,))).going(Step((SENT,)))
    assert trail.step == Step((SENT,))
    back = trail.back_to(0)
    assert back.step == Step((CAT,))
    assert back.steps == trail.steps
    assert back.going(Step((SENT,))).steps == (Step((CAT,)), Step((SENT,)))


def test_steps_that_are_not_there_change_nothing() -> None:
    trail = Trail().going(Step((CAT,)))
    assert (trail.back_to(1), trail.back_to(-1), Trail().back_to(0)) == (trail, trail, Trail())
    assert Trail().step is None


def test_a_long_trail_forgets_its_beginning() -> None:
    trail = Trail()
    for number in range(MOST_STEPS + 5):
        trail = trail.going(Step((Asked(f"{number}.jpg", Path("x"), (number,)),)))
    assert len(trail.steps) == MOST_STEPS
    assert trail.step is not None
    assert trail.step.name == f"{MOST_STEPS + 4}.jpg"
    assert trail.steps[0].name == "5.jpg"
