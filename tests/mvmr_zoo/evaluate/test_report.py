from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mvmr_zoo.card import Figure
from mvmr_zoo.errors import DataError
from mvmr_zoo.evaluate import Report, read_report, share, write_report


def test_interval_equals_that_of_resampling_rows() -> None:
    right = np.random.default_rng(3).random(500) < 0.7
    drawn = np.random.default_rng(4).integers(0, 500, (5000, 500))
    low, high = np.percentile(right[drawn].mean(axis=1), (2.5, 97.5))
    figure = share(right)
    assert figure.value == round(right.mean(), 4)
    assert figure.images == 500
    assert figure.interval == pytest.approx((low, high), abs=0.006)


def test_all_right_is_certain() -> None:
    assert share(np.ones(9, bool)) == Figure(value=1.0, low=1.0, high=1.0, images=9)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    report = Report(
        protocol="knn@1", data="imagenette", model="tiny", weights="0" * 64, preprocess="1" * 64, seed=0, seconds=1.0,
        figures={"imagenette/knn@1": Figure(value=0.5, low=0.4, high=0.6, images=9)}, beside={},
    )  # fmt: skip
    write_report(tmp_path / "reports" / "knn.json", report)
    assert read_report(tmp_path / "reports" / "knn.json") == report
    return tmp_path / "reports" / "knn.json"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"figures": {"a": 5.0}}, "figures: a figure has value 5.0; expected a fraction"),
        ({"figures": []}, "figures is list"),
        ({"beside": {"a": {"low": 0.1}}}, "beside: a figure is"),
        ({"more": 1}, "unknown field more"),
    ],
)
def test_a_wrong_field_is_named(file: Path, change: dict[str, object], message: str) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(DataError, match=message):
        read_report(file)


def test_files_that_are_no_report(file: Path) -> None:
    for text, message in (
        ("{", "cannot be read as JSON"),
        ("[]", "got list"),
        ("{}", "lacks the field protocol"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=message):
            read_report(file)
    with pytest.raises(DataError, match="No such file"):
        read_report(file.with_name("none.json"))
