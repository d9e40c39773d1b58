"""Reports as Markdown: a page for one report, or a table of all with the published results."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mvmr_zoo._io import write_whole
from mvmr_zoo.checkpoint import output_in_words
from mvmr_zoo.errors import DataError, printable
from mvmr_zoo.evaluate.linear_sgd import BEST_EPOCH
from mvmr_zoo.evaluate.report import Report, read_report
from mvmr_zoo.models import CATALOG

if TYPE_CHECKING:
    from mvmr_zoo.checkpoint import Figure

MARKERS = ("<!-- reports: begin -->", "<!-- reports: end -->")
"""Lines before and after the table in a file."""

_LEFT_OUT = ("/k=", "/top5", "/recall@5", "/recall@10", BEST_EPOCH, "/area")
"""Figures that are not in the table."""

_HEAD = (
    "| model | data | protocol | figure | 95% confidence interval | published |\n"
    "| --- | --- | --- | --- | --- | --- |\n"
)


def report_markdown(report: Report) -> str:
    """A report as a Markdown page."""
    lines = [
        f"# {report.protocol} of {_cell(report.model + report.shown_output)} on {_cell(report.data)}",
        "",
        _HEAD + _rows(report),
    ]
    if report.confusions:
        lines += ["", "| class | taken for | images | of its class |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {_cell(pair.actual)} | {_cell(pair.predicted)} | {pair.images} | {100 * pair.share:.1f} % |"
            for pair in report.confusions
        ]
    facts = {
        "spec": report.spec,
        **({"output": output_in_words(report.output, report.dim)} if report.dim else {}),
        "weights": report.weights,
        "preprocessing": report.preprocess,
        **{f"{split} images": digest for split, digest in report.images.items()},
        "seed": str(report.seed),
        "seconds": f"{report.seconds:g}",
        **report.machine,
    }
    lines += ["", *(f"- {name}: {_cell(value)}" for name, value in facts.items())]
    return "\n".join(lines) + "\n"


def read_reports(folder: Path) -> list[Report]:
    """Read all reports of a folder, sorted by data, protocol and model. Raises DataError if one cannot be read."""
    if not folder.is_dir():
        raise DataError(
            f"{folder} is not a folder. `mvmr-zoo eval PROTOCOL MODEL --data DATA --output FOLDER` writes reports."
        )
    reports = [read_report(path) for path in sorted(folder.glob("*.json"))]
    return sorted(reports, key=lambda report: (report.data, report.protocol, report.model, report.output, report.dim))


def table_markdown(reports: Iterable[Report], *, published: bool = False) -> str:
    """Figures of reports as a table, beside the published ones.

    Args:
        reports: Reports in the order of the table.
        published: Also list published results that no report has.
    """
    reports = list(reports)
    rows = [_rows(report) for report in reports]
    if published:
        measured = {(report.model, _plain(name)) for report in reports for name in report.figures}
        for name, card in CATALOG.items():
            for figure_name, figure in card.published.items():
                if (name, _plain(figure_name)) not in measured:
                    data, _, protocol = figure_name.partition("/")
                    rows.append(_row(name, data, protocol, None, figure))
    return _HEAD + "\n".join(row for row in rows if row) + "\n"


def write_table(path: Path, table: str) -> None:
    """Replace the text between the two markers of a file with the table.

    Raises:
        DataError: The file does not have each marker once, in order.
    """
    begin, end = MARKERS
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text.") from None
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise DataError(f"{path} must have the lines {begin} and {end} once each. The table is written between them.")
    before, after = text[: text.index(begin)], text[text.index(end) :]
    write_whole(path, f"{before}{begin}\n{table}{after}")


def _rows(report: Report) -> str:
    card = CATALOG.get(report.model)
    published = {} if card is None else {_plain(name): each for name, each in card.published.items()}
    return "\n".join(
        _row(
            report.model + report.shown_output,
            report.data,
            name.removeprefix(f"{report.data}/"),
            figure,
            published.get(_plain(name)),
        )
        for name, figure in report.figures.items()
        if not any(part in name for part in _LEFT_OUT)
    )


def _row(model: str, data: str, protocol: str, figure: Figure | None, published: Figure | None) -> str:
    own = "" if figure is None else f"{figure.value:.4f}"
    interval = "" if figure is None or figure.interval is None else "{:.4f} to {:.4f}".format(*figure.interval)
    theirs = "" if published is None else f"{published.value:.4f}"
    return f"| {_cell(model)} | {_cell(data)} | {_cell(protocol)} | {own} | {interval} | {theirs} |"


def _plain(name: str) -> str:
    """The name by which measured and published results are compared: no version, one name for both linear protocols."""
    return re.sub(r"-v\d+(?=/|$)", "", name).replace("linear-sgd", "linear")


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|")
