"""`mvmr-zoo eval`: encoders by fixed protocols."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mvmr_zoo.errors import printable
from mvmr_zoo.terminal import explain_errors

if TYPE_CHECKING:
    from mvmr_zoo.checkpoint import Checkpoint
    from mvmr_zoo.evaluate import Report

app = typer.Typer()


@app.command("eval")
@explain_errors
def eval_(
    protocol: Annotated[str, typer.Argument(help="knn, linear, retrieval, or all.")],
    model: Annotated[str, typer.Argument(help="A model's name, a checkpoint folder, or somebody else's encoder.")],
    data: Annotated[str, typer.Option(help="A data set's name, folder:PATH or parquet:PATH.")],
    data_root: Annotated[Path | None, typer.Option(help="Where named data sets lie.")] = None,
    seed: Annotated[int, typer.Option(help="Of the held-out part of train, and of the bootstrap.")] = 0,
    output: Annotated[Path | None, typer.Option(help="Folder the report goes to, as JSON.")] = None,
    attach: Annotated[
        bool, typer.Option("--attach", help="Write the figures into the checkpoint folder and its card.")
    ] = False,
) -> None:
    """Measure an encoder by a fixed protocol; the test split is read once, at the end."""
    from mvmr_zoo.evaluate import PROTOCOLS, evaluate, write_report

    if attach:
        _attachable(model)
    for each in PROTOCOLS if protocol == "all" else (protocol,):
        report = evaluate(each, model, data, root=data_root, seed=seed)
        path = None
        if output is not None:
            path = output / f"{report.model.replace('/', '-').replace(':', '-')}-{report.data}-{each}.json"
            write_report(path, report)
        if attach:
            _attach(model, report, path)
        _show(report, path)


def _attachable(model: str) -> Checkpoint:
    """The checkpoint whose folder may be written to. Raises ConfigError for one in the Hub's cache."""
    from mvmr_zoo.errors import ConfigError
    from mvmr_zoo.resolve import find

    found = find(model)
    if found.location == "hub":
        raise ConfigError(
            f"--attach writes into the checkpoint folder, and {model} lies in the Hub's cache. "
            "Give a folder of your own."
        )
    return found.checkpoint


def _attach(model: str, report: Report, path: Path | None) -> None:
    from mvmr_zoo.checkpoint import add_metrics

    source = path.as_posix() if path is not None else "mvmr-zoo eval"
    add_metrics(_attachable(model), {name: replace(figure, source=source) for name, figure in report.figures.items()})


def _show(report: Report, path: Path | None) -> None:
    typer.echo(f"{report.protocol} of {report.model} on {report.data}, seed {report.seed}, {report.seconds} s")
    for name, figure in report.figures.items():
        typer.echo(f"  {name:<34} {figure}  of {figure.images} images")
    for pair in report.confusions:
        typer.echo(f"  {printable(pair.actual)} taken for {printable(pair.predicted)}: {pair.images} images")
    if path is not None:
        typer.echo(f"  {path}")
