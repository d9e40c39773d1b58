from __future__ import annotations

import math

import pytest

from export.limits import LIMITS, MAX_DROP, Limits, Verdict, limits_of, verdicts
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.models.exported import DTYPES

from .conftest import signature

FIGURES = ("cosine_min", "cosine_mean", "top1_agreement", "class_agreement", "size_cosine")


def test_default_limits() -> None:
    assert limits_of(signature(dtype="int8"), labels=False).top1_agreement == 0.95
    assert limits_of(signature(dtype="int8"), labels=True).max_drop == 0.5
    assert limits_of(signature(stage="full"), labels=False).cosine_mean == 0.999


@pytest.mark.parametrize("figure", FIGURES)
def test_limits_are_looser_with_fewer_bits(figure: str) -> None:
    fp32, fp16, int8 = (getattr(limits_of(signature(dtype=dtype), labels=False), figure) for dtype in DTYPES)
    assert 1 > fp32 >= fp16 >= int8 > 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_limits_are_not_stricter_if_the_graph_resizes(dtype: str) -> None:
    plain, full = (limits_of(signature(dtype=dtype, stage=stage), labels=False) for stage in ("none", "full"))
    assert all(getattr(full, figure) <= getattr(plain, figure) for figure in FIGURES)
    assert limits_of(signature(dtype=dtype, stage="normalize"), labels=False) == plain


def test_labels_limit_the_drop_and_replace_neighbor_agreement_for_int8() -> None:
    for dtype in DTYPES:
        assert limits_of(signature(dtype=dtype), labels=False).max_drop is None
        assert limits_of(signature(dtype=dtype), labels=True).max_drop == MAX_DROP[dtype]
    assert limits_of(signature(dtype="int8"), labels=True).top1_agreement is None
    assert limits_of(signature(dtype="fp16"), labels=True).top1_agreement == LIMITS["fp16"].top1_agreement
    both = limits_of(signature(dtype="int8"), labels=True, min_agreement=0.9, max_drop=0)
    assert (both.top1_agreement, both.max_drop) == (0.9, 0)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_min_agreement_overrides_all_dtypes_and_stages(value: float) -> None:
    for dtype in DTYPES:
        for stage in ("none", "full"):
            limits = limits_of(signature(dtype=dtype, stage=stage), labels=False, min_agreement=value)
            assert limits.top1_agreement == value


@pytest.mark.parametrize(
    ("labels", "value", "message"),
    [
        (False, {"min_agreement": 1.01}, "--min-agreement is 1.01"),
        (False, {"min_agreement": -0.1}, "--min-agreement is -0.1"),
        (False, {"min_agreement": math.nan}, "--min-agreement is nan"),
        (False, {"max_drop": 0.5}, "and --labels"),
        (True, {"max_drop": -1.0}, "--max-drop is -1.0"),
        (True, {"max_drop": math.nan}, "--max-drop is nan"),
        (True, {"max_drop": 101.0}, "--max-drop is 101.0"),
    ],
)
def test_limits_out_of_range(labels: bool, value: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        limits_of(signature(), labels=labels, **value)


def test_verdicts() -> None:
    limits = Limits(
        cosine_min=0.9, cosine_mean=0.99, top1_agreement=None, class_agreement=0.5, size_cosine=0.9, max_drop=0.5
    )
    found = {"cosine_min": 0.9, "cosine_mean": 0.98, "top1_agreement": 0.1, "max_drop": 0.5}
    assert verdicts(limits, found) == [
        Verdict("cosine_min", 0.9, 0.9, True),
        Verdict("cosine_mean", 0.99, 0.98, False),
        Verdict("max_drop", 0.5, 0.5, True),
    ]
    assert [each.passed for each in verdicts(limits, {"max_drop": 0.51})] == [False]
    assert [each.passed for each in verdicts(limits, {"max_drop": -3.0})] == [True]  # better than PyTorch


def test_nan_meets_no_limit() -> None:
    limits = limits_of(signature(), labels=True)
    assert not any(each.passed for each in verdicts(limits, dict.fromkeys(("cosine_min", "max_drop"), math.nan)))
