from __future__ import annotations

import numpy as np
import pytest
from training.split import stratified_split

LABELS = np.repeat(np.arange(4), [40, 20, 60, 7])


def test_held_out_photos_are_a_fixed_share_of_each_class() -> None:
    split = stratified_split(LABELS, 0.1, seed=3)
    assert np.bincount(LABELS[split.held_out], minlength=4).tolist() == [4, 2, 6, 1]
    assert sorted([*split.train, *split.held_out]) == list(range(127))
    np.testing.assert_array_equal(split.held_out, stratified_split(LABELS, 0.1, seed=3).held_out)
    assert not np.array_equal(split.held_out, stratified_split(LABELS, 0.1, seed=4).held_out)


@pytest.mark.parametrize("limit", [1, 20, 63, 114])
def test_a_limit_keeps_the_share_of_every_class(limit: int) -> None:
    whole, some = (stratified_split(LABELS, 0.1, seed=3, limit=each) for each in (None, limit))
    assert len(some.train) == limit
    assert set(some.train) <= set(whole.train)
    np.testing.assert_array_equal(some.held_out, whole.held_out)
    shares = np.bincount(LABELS[whole.train]) * limit / len(whole.train)
    assert np.abs(np.bincount(LABELS[some.train], minlength=4) - shares).max() <= 1


def test_images_without_a_label_are_all_trained_on() -> None:
    labels = np.concatenate([np.full(30, -1), np.zeros(20, int)])
    split = stratified_split(labels, 0.5, seed=0)
    assert (labels[split.held_out] == 0).all()
    assert len(split.held_out) == 10
    assert set(range(30)) <= set(split.train)
    assert len(stratified_split(np.full(5, -1), 0.2, seed=0).held_out) == 0
