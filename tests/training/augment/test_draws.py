from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training.augment import POLICIES, AugmentConfig
from training.augment.draws import RATIOS, draw

from mvmr_zoo.errors import ConfigError

SIDES = st.integers(4, 400)


@given(name=st.sampled_from(list(POLICIES)), width=SIDES, height=SIDES, seed=st.integers(0, 2**62))
def test_a_crop_lies_in_the_photo(name: str, width: int, height: int, seed: int) -> None:
    policy = POLICIES[name]
    view = draw(policy, width, height, 32, seed)
    assert view == draw(policy, width, height, 32, seed)
    if policy.crop == "padded":
        assert max(abs(view.left), abs(view.top)) <= 4
        return
    assert 0 <= view.left <= view.left + view.width <= width
    assert 0 <= view.top <= view.top + view.height <= height
    assert min(view.width, view.height) >= 1


@pytest.mark.parametrize(("width", "height"), [(300, 200), (96, 96), (400, 40)])
def test_crops_follow_the_policy(width: int, height: int) -> None:
    """Area share, ratio and place, over many draws, against the bounds of RandomResizedCrop."""
    views = [draw(POLICIES["paper"], width, height, 64, seed) for seed in range(2000)]
    ratios = np.array([view.width / view.height for view in views])
    assert RATIOS[0] * 0.9 < ratios.min()
    assert ratios.max() < RATIOS[1] * 1.1
    if width < 2 * height:
        shares = np.array([view.width * view.height / (width * height) for view in views])
        assert 0.19 < shares.min() < 0.22
        assert abs(shares.mean() - 0.55) < 0.1  # less than 0.6: the largest do not fit at every ratio
        assert min(view.left for view in views) == 0
    else:  # nothing fits: the largest crop of an allowed ratio, from the centre
        assert {(view.left, view.top, view.width, view.height) for view in views} == {(173, 0, 53, 40)}


def test_chances_are_those_of_the_policy() -> None:
    policy = POLICIES["paper"]
    views = [draw(policy, 100, 100, 64, seed) for seed in range(4000)]
    assert abs(np.mean([view.flip for view in views]) - policy.flip) < 0.03
    assert abs(np.mean([view.grey for view in views]) - policy.grey) < 0.03
    assert abs(np.mean([view.sigma > 0 for view in views]) - policy.blur) < 0.03
    assert abs(np.mean([view.factors != (1, 1, 1, 0) for view in views]) - policy.jitter) < 0.03
    brightness = np.array([view.factors[0] for view in views if view.factors[0] != 1])
    assert 0.2 <= brightness.min() < 0.25
    assert 1.75 < brightness.max() <= 1.8
    hue = np.array([view.factors[3] for view in views])
    assert -0.2 <= hue.min() < -0.19
    assert 0.19 < hue.max() <= 0.2


def test_an_option_changes_nothing_but_what_it_names() -> None:
    plain, grey = POLICIES["paper"], dataclasses.replace(POLICIES["paper"], grey=1.0)
    for seed in range(50):
        a, b = draw(plain, 90, 60, 32, seed), draw(grey, 90, 60, 32, seed)
        assert b.grey
        assert a._replace(grey=True) == b


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"flip": 1.5}, r"views\.augment\.flip is 1\.5"),
        ({"hue": 0.6}, r"views\.augment\.hue is 0\.6"),
        ({"brightness": -1}, r"views\.augment\.brightness is -1"),
        ({"policy": "cifar", "min_scale": 0.5}, "cifar has no such"),
        ({"policy": "randaugment", "grey": 0.1}, "randaugment takes the place"),
        ({"policy": "autoaugment", "where": "device"}, "workers, as autoaugment needs"),
    ],
)
def test_what_cannot_be_drawn_is_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        AugmentConfig(**options)
