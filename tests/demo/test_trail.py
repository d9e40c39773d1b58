from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from demo.trail import MAX_STEPS, QueryPhoto, Step, Trail
from mvmr_zoo.errors import ConfigError

CAT = QueryPhoto("cat.jpg", Path("c"), (1,))
DOG = QueryPhoto("dog.jpg", Path("d"), (2, 3))
SENT = QueryPhoto("sent.jpg", Path("s"), vector=np.ones(4, np.float32))


def test_query_of_a_step_has_ids_and_vectors() -> None:
    query = Step((CAT, SENT), (DOG,)).query
    assert (query.like_ids, query.unlike_ids, len(query.unlike)) == ([1], [2, 3], 0)
    np.testing.assert_array_equal(query.like, [SENT.vector])


def test_adding_a_photo_again_changes_its_sign() -> None:
    step = Step((CAT,)).with_photo(DOG, "like").with_photo(SENT, "unlike")
    assert step == Step((CAT, DOG), (SENT,))
    assert step.with_photo(DOG, "unlike") == Step((CAT,), (SENT, DOG))
    assert step.with_photo(SENT, "like") == Step((CAT, DOG, SENT))


def test_last_like_photo_cannot_be_removed() -> None:
    assert Step((CAT,)).with_photo(CAT, "unlike") == Step((CAT,))
    assert Step((CAT,), (DOG,)).without_photo(0) is None
    assert Step((CAT,), (DOG,)).without_photo(1) == Step((CAT,))
    with pytest.raises(ConfigError):
        _ = Step(()).query


def test_step_names_count_other_photos() -> None:
    assert [step.name for step in (Step((CAT,)), Step((CAT, DOG)), Step((CAT, DOG), (SENT,)))] == [
        "cat.jpg", "cat.jpg + 1", "cat.jpg + 1 - 1",
    ]  # fmt: skip


def test_append_drops_later_steps() -> None:
    trail = Trail().append(Step((CAT,))).append(Step((DOG,))).append(Step((SENT,)))
    assert trail.step == Step((SENT,))
    back = trail.go_to(0)
    assert back.step == Step((CAT,))
    assert back.steps == trail.steps
    assert back.append(Step((SENT,))).steps == (Step((CAT,)), Step((SENT,)))


def test_go_to_ignores_unknown_positions() -> None:
    trail = Trail().append(Step((CAT,)))
    assert (trail.go_to(1), trail.go_to(-1), Trail().go_to(0)) == (trail, trail, Trail())
    assert Trail().step is None


def test_history_length_is_limited() -> None:
    trail = Trail()
    for number in range(MAX_STEPS + 5):
        trail = trail.append(Step((QueryPhoto(f"{number}.jpg", Path("x"), (number,)),)))
    assert len(trail.steps) == MAX_STEPS
    assert trail.step is not None
    assert trail.step.name == f"{MAX_STEPS + 4}.jpg"
    assert trail.steps[0].name == "5.jpg"
