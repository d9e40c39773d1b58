from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from mvmr_zoo.checkpoint.card import Figure
from mvmr_zoo.errors import DataError
from mvmr_zoo.evaluate import Report, write_report
from mvmr_zoo.evaluate.markdown import MARKERS, read_reports, report_markdown, table_markdown, write_table
from mvmr_zoo.evaluate.report import Confusion

REPORT = Report(
    protocol="linear-v1", data="stl10", model="resnet50-stl10", weights="0" * 64, preprocess="1" * 64, seed=0,
    seconds=1.0, confusions=(Confusion("a|b", "c", 3, 0.25),),
    figures={"stl10/linear-v1": Figure(value=0.5, low=0.4, high=0.6), "stl10/linear-v1/top5": Figure(value=0.9)},
)  # fmt: skip
ROW = "| resnet50-stl10 | stl10 | linear-v1 | 0.5000 | 0.4000 to 0.6000 | 0.8967 |"


def test_measured_figures_stand_beside_the_published_ones() -> None:
    table = table_markdown([REPORT], published=True)
    assert ROW in table.splitlines()
    assert "top5 | 0.9" not in table
    assert "| resnet50-stl10 | stl10 | linear/top5 |" not in table  # measured, in the report
    assert "| resnet50-clip-kd | imagenet | linear |  |  | 0.7530 |" in table.splitlines()
    assert "| resnet50-voc07 | voc07 | voc07 |  |  | 0.8710 |" in table.splitlines()


def test_published_figures_without_a_report_are_an_option() -> None:
    assert table_markdown([REPORT]).splitlines()[2:] == [ROW]


def test_the_papers_linear_evaluation_is_the_published_figure_of_both_linear_protocols() -> None:
    sgd = dataclasses.replace(REPORT, figures={"stl10/linear-sgd-v1": Figure(value=0.5)})
    assert "| resnet50-stl10 | stl10 | linear-sgd-v1 | 0.5000 |  | 0.8967 |" in table_markdown([sgd]).splitlines()


def test_one_report_as_a_page() -> None:
    page = report_markdown(REPORT)
    assert ROW in page.splitlines()
    assert "| a\\|b | c | 3 | 25.0 % |" in page.splitlines()
    assert f"- weights: {'0' * 64}" in page.splitlines()


def test_the_table_goes_between_the_markers(tmp_path: Path) -> None:
    file, (begin, end) = tmp_path / "README.md", MARKERS
    file.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    write_table(file, "| new |\n")
    assert file.read_text() == f"before\n{begin}\n| new |\n{end}\nafter\n"
    for wrong in ("", f"{begin}\n", f"{end}\n{begin}\n", f"{begin}{end}{end}"):
        file.write_text(wrong)
        with pytest.raises(DataError, match="The table is written between them"):
            write_table(file, "| new |\n")
        assert file.read_text() == wrong


def test_reports_are_read_in_one_order(tmp_path: Path) -> None:
    for name, model in (("a", "z"), ("b", "y")):
        write_report(tmp_path / f"{name}.json", dataclasses.replace(REPORT, model=model))
    assert [report.model for report in read_reports(tmp_path)] == ["y", "z"]
    with pytest.raises(DataError, match="is not a folder"):
        read_reports(tmp_path / "none")
