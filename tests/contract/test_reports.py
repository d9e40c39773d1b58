"""Figures in the documentation and on the cards of bundled models are those of the reports in the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

import mvmr_zoo
from mvmr_zoo.checkpoint import read_checkpoint
from mvmr_zoo.evaluate import card_figures, read_report
from mvmr_zoo.evaluate.markdown import MARKERS, read_reports, report_markdown, table_markdown

ROOT = Path(mvmr_zoo.__file__).parents[1]
BUNDLED = sorted((ROOT / "mvmr_zoo" / "models" / "bundled").iterdir())


def test_the_documentation_has_the_table_of_the_reports() -> None:
    begin, end = MARKERS
    text = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    table = text[text.index(begin) + len(begin) + 1 : text.index(end)]
    assert table == table_markdown(read_reports(ROOT / "reports"), published=True), "run `eval table`"


def test_every_report_is_there_to_read_too() -> None:
    files = list((ROOT / "reports").glob("*.json"))
    assert files
    for path in files:
        assert path.with_suffix(".md").read_text(encoding="utf-8") == report_markdown(read_report(path)), path


@pytest.mark.parametrize("folder", BUNDLED, ids=lambda folder: folder.name)
def test_figures_on_a_bundled_models_card_are_its_reports(folder: Path) -> None:
    checkpoint = read_checkpoint(folder)
    sourced = {name: each for name, each in checkpoint.config.metrics.items() if each.source.startswith("reports/")}
    assert sourced
    for name, figure in sourced.items():
        report = read_report(ROOT / figure.source)
        known, _, whose = name.partition(" of ")
        if whose:
            assert report.figures[known].value == figure.value, name
            assert report.figures[known].interval == figure.interval, name
        else:
            assert card_figures(checkpoint, report, figure.source)[name] == figure
