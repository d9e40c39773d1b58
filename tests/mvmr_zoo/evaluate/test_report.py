from __future__ import annotations

import json
from pathlib import Path

import pytest

from mvmr_zoo.checkpoint.card import Figure
from mvmr_zoo.errors import DataError
from mvmr_zoo.evaluate import Report, read_report, write_report


@pytest.fixture
def file(tmp_path: Path) -> Path:
    report = Report(
        protocol="knn-v1", data="imagenette", model="tiny", weights="0" * 64, preprocess="1" * 64, seed=0, seconds=1.0,
        figures={"imagenette/knn-v1": Figure(value=0.5, low=0.4, high=0.6, images=9)},
    )  # fmt: skip
    write_report(tmp_path / "reports" / "knn.json", report)
    assert read_report(tmp_path / "reports" / "knn.json") == report
    return tmp_path / "reports" / "knn.json"


def test_names_of_older_reports(file: Path) -> None:
    expected = read_report(file)
    file.write_text(file.read_text().replace("knn-v1", "knn@1"))
    assert read_report(file) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"figures": {"a": 5.0}}, "figures: figure value is 5.0; expected a fraction"),
        ({"figures": []}, "figures is list"),
        ({"figures": {"a": {"low": 0.1}}}, "figures: figure is"),
        ({"more": 1}, "the field more is unknown"),
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
        ("{}", "the field protocol is missing"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=message):
            read_report(file)
    with pytest.raises(DataError, match="No such file"):
        read_report(file.with_name("none.json"))
