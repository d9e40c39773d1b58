from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvmr_zoo.errors import ConfigError
from training.data import POLICIES, AugmentConfig, Policy, draw_view
from training.data.augmentation import RATIOS, SIGMAS

SIDES = st.integers(4, 400)


@given(name=st.sampled_from(list(POLICIES)), width=SIDES, height=SIDES, seed=st.integers(0, 2**62))
def test_a_crop_lies_in_the_photo(name: str, width: int, height: int, seed: int) -> None:
    policy = POLICIES[name]
    view = draw_view(policy, width, height, 32, seed)
    assert view == draw_view(policy, width, height, 32, seed)
    box = view.box
    if policy.crop == "padded":
        assert max(abs(box.left), abs(box.top)) <= 4
        return
    assert 0 <= box.left <= box.left + box.width <= width
    assert 0 <= box.top <= box.top + box.height <= height
    assert min(box.width, box.height) >= 1


@pytest.mark.parametrize(("width", "height"), [(300, 200), (96, 96), (400, 40)])
def test_crops_follow_the_policy(width: int, height: int) -> None:
    """Area share, ratio and place, over many draws, against the bounds of torchvision's RandomResizedCrop."""
    views = [draw_view(Policy(min_scale=0.2), width, height, 64, seed).box for seed in range(2000)]
    ratios = np.array([view.width / view.height for view in views])
    assert RATIOS[0] * 0.9 < ratios.min()
    assert ratios.max() < RATIOS[1] * 1.1
    if width < 2 * height:
        shares = np.array([view.width * view.height / (width * height) for view in views])
        assert 0.19 < shares.min() < 0.22
        assert abs(shares.mean() - 0.55) < 0.1  # less than 0.6: the largest do not fit at every ratio
        assert min(view.left for view in views) == 0
    else:  # nothing fits: the largest crop of an allowed ratio, from the center
        assert {(view.left, view.top, view.width, view.height) for view in views} == {(173, 0, 53, 40)}


def test_chances_are_those_of_the_policy() -> None:
    policy = POLICIES["paper"]
    drawn = [draw_view(policy, 100, 100, 64, seed) for seed in range(4000)]
    assert abs(np.mean([view.flip for view in drawn]) - policy.flip) < 0.03
    views = [view.color for view in drawn]
    assert abs(np.mean([view.gray for view in views]) - policy.gray) < 0.03
    assert abs(np.mean([view.sigma > 0 for view in views]) - policy.blur) < 0.03
    assert abs(np.mean([view.factors != (1, 1, 1, 0) for view in views]) - policy.jitter) < 0.03
    brightness = np.array([view.factors[0] for view in views if view.factors[0] != 1])
    assert 0.2 <= brightness.min() < 0.25
    assert 1.75 < brightness.max() <= 1.8
    hue = np.array([view.factors[3] for view in views])
    assert -0.2 <= hue.min() < -0.19
    assert 0.19 < hue.max() <= 0.2
    sigmas = np.array([view.sigma for view in views])
    assert SIGMAS[0] <= sigmas.min() < sigmas.max() <= SIGMAS[1]


def test_an_option_changes_nothing_but_what_it_names() -> None:
    plain, gray = POLICIES["paper"], dataclasses.replace(POLICIES["paper"], gray=1.0)
    for seed in range(50):
        a, b = draw_view(plain, 90, 60, 32, seed), draw_view(gray, 90, 60, 32, seed)
        assert b.color.gray
        assert a._replace(color=a.color._replace(gray=True)) == b


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"flip": 1.5}, r"views\.augment\.flip is 1\.5"),
        ({"hue": 0.6}, r"views\.augment\.hue is 0\.6"),
        ({"brightness": -1}, r"views\.augment\.brightness is -1"),
        ({"min_scale": 0}, r"views\.augment\.min_scale is 0; expected a number above 0"),
        ({"policy": "cifar", "min_scale": 0.5}, "the policy cifar keeps the whole photo"),
    ],
)
def test_what_cannot_be_drawn_is_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        AugmentConfig(**options)


def test_given_values_replace_the_policys_own() -> None:
    assert AugmentConfig(policy="cifar20").parameters == POLICIES["cifar20"]
    assert AugmentConfig(hue=0.0, blur=0.5).parameters == dataclasses.replace(POLICIES["paper"], hue=0.0, blur=0.5)
