"""`mvmr-zoo eval`: encoders by fixed protocols."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from mvmr_zoo._io import SOME_FAILED, explain_errors
from mvmr_zoo.cli.options import ModelDim, ModelOutput, check_folder_option
from mvmr_zoo.errors import printable

if TYPE_CHECKING:
    from mvmr_zoo.checkpoint import Output as VectorOutput
    from mvmr_zoo.evaluate import Evaluation, Report

app = typer.Typer(help="Measure encoders by fixed protocols.", no_args_is_help=True)

Spec = Annotated[str, typer.Argument(help="A model's name, a checkpoint folder, or somebody else's encoder.")]
Data = Annotated[str, typer.Option(help="A data set's name, folder:PATH or parquet:PATH.")]
DataRoot = Annotated[Path | None, typer.Option(help="Where named data sets lie.")]
Download = Annotated[bool, typer.Option("--download", help="Fetch a named data set that is not there.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of whatever is random.")]
Output = Annotated[Path | None, typer.Option(help="Folder the report goes to, as JSON and Markdown.")]
Attach = Annotated[bool, typer.Option("--attach", help="Write the figures into the checkpoint folder and its card.")]
Plots = Annotated[bool, typer.Option("--plots", help="Draw the report too, as PNG files in --output.")]
TenCrop = Annotated[bool, typer.Option("--ten-crop", help="With linear: see ten crops of each test image too.")]

_ALL = "all"

_HELP = {
    "knn": "Weighted k-nearest-neighbor classification, k = 20; also 1, 5, 200.",
    "linear": "Logistic regression by L-BFGS, its strength chosen on a held-out tenth of train.",
    "linear-sgd": "A linear classifier trained by Adam on random crops, 100 epochs, as the paper does.",
    "semi": "An encoder fine-tuned on few labels, by its own classifier.",
    "voc07": "One-vs-rest logistic regression on VOC07: mean average precision.",
    "retrieval": "Every test image queries all others: mean average precision, recall@k.",
    _ALL: "Every protocol that applies to the model and the data.",
}


def _command(protocol: str) -> Callable[..., None]:
    """The command of one protocol, or of all: they take the same options."""

    @explain_errors
    def command(
        model: Spec,
        data: Data,
        model_output: ModelOutput = None,
        dim: ModelDim = None,
        data_root: DataRoot = None,
        download: Download = False,
        seed: Seed = 0,
        output: Output = None,
        attach: Attach = False,
        plots: Plots = False,
        ten_crop: TenCrop = False,
    ) -> None:
        from mvmr_zoo.errors import ConfigError, MvmrError
        from mvmr_zoo.evaluate import Options, attachable, evaluate, evaluate_all

        check_folder_option(output)
        if plots and output is None:
            raise ConfigError("--plots draws into the folder of --output, which is not given.")
        if ten_crop and protocol not in ("linear", _ALL):
            raise ConfigError(f"--ten-crop is for linear, and all; {protocol} sees one view of each test image.")
        if attach:
            attachable(model)
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)  # rather now than after an hour
        options = Options(seed=seed, ten_crop=ten_crop)
        asked: dict[str, Any] = {"output": model_output, "dim": dim, "root": data_root}
        if protocol == _ALL:
            failed = False
            for name, result in evaluate_all(model, data, **asked, options=options, download=download):
                if isinstance(result, MvmrError):
                    failed = True
                    typer.echo(f"{name} cannot be measured: {printable(str(result))}", err=True)
                else:
                    _finish(name, result, output, attach=attach, plots=plots)
            if failed:
                raise typer.Exit(SOME_FAILED)
            return
        found = evaluate(protocol, model, data, **asked, options=options, download=download)
        _finish(protocol, found, output, attach=attach, plots=plots)

    return command


for _name, _help in _HELP.items():
    app.command(_name, help=_help)(_command(_name))


@app.command()
@explain_errors
def compare(
    first: Spec,
    second: Spec,
    data: Data,
    protocol: Annotated[str, typer.Option(help="knn, linear, linear-sgd, semi, voc07 or retrieval.")] = "knn",
    first_output: Annotated[str | None, typer.Option(help="Output of the first model: features or aligned.")] = None,
    first_dim: Annotated[int | None, typer.Option(help="Length of its aligned vectors. Default: all.")] = None,
    second_output: Annotated[str | None, typer.Option(help="Output of the second model: features or aligned.")] = None,
    second_dim: Annotated[int | None, typer.Option(help="Length of its aligned vectors. Default: all.")] = None,
    data_root: DataRoot = None,
    download: Download = False,
    seed: Seed = 0,
) -> None:
    """Compare two models, or two outputs of one, on the same test images, with a paired bootstrap of the difference."""
    from mvmr_zoo.evaluate import Options
    from mvmr_zoo.evaluate import compare as run

    found = run(
        protocol,
        first,
        second,
        data,
        first_output=cast("VectorOutput", first_output),
        first_dim=first_dim,
        second_output=cast("VectorOutput", second_output),
        second_dim=second_dim,
        root=data_root,
        options=Options(seed=seed),
        download=download,
    )
    rows = found.rows
    one, other = (printable(f"{each.spec}{each.shown_output}") for each in (found.first, found.second))
    typer.echo(f"{one} minus {other}; 95 % intervals, {rows[0].first.images} test images")
    typer.echo(f"{'':<24} {'first':<24} {'second':<24} difference")
    for row in rows:
        typer.echo(f"{row.name:<24} {row.first!s:<24} {row.second!s:<24} {row.difference}")


@app.command()
@explain_errors
def table(
    reports: Annotated[Path, typer.Option(help="Folder of reports.")] = Path("reports"),
    write: Annotated[Path | None, typer.Option(help="Put the table into this file, between its two markers.")] = None,
) -> None:
    """All reports of a folder beside the published figures."""
    from mvmr_zoo.evaluate import read_reports, table_markdown, write_table

    text = table_markdown(read_reports(reports))
    typer.echo(text, nl=False)
    if write is not None:
        write_table(write, text)


def _finish(protocol: str, evaluation: Evaluation, output: Path | None, *, attach: bool, plots: bool) -> None:
    from mvmr_zoo._io import write_whole
    from mvmr_zoo.errors import ConfigError
    from mvmr_zoo.evaluate import attach_report, read_report, report_markdown, write_report

    report, path = evaluation.report, None
    if output is not None:
        shown = report.model if report.output == "features" else f"{report.model}-{report.output}-{report.dim}"
        name = f"{shown}-{report.data}-{protocol}"
        path = output / f"{''.join(char if char.isalnum() or char in '-_.' else '-' for char in name)}.json"
        if path.exists() and read_report(path).images != report.images:
            raise ConfigError(f"{path} is a report on other images; give another --output.")
        write_report(path, report)
        write_whole(path.with_suffix(".md"), report_markdown(report))
    if attach:
        attach_report(report, path)
    _show(report, path)
    if plots and path is not None:
        from mvmr_zoo.evaluate import draw

        for drawn in draw(evaluation, path):
            typer.echo(f"  {printable(str(drawn))}")


def _show(report: Report, path: Path | None) -> None:
    what = printable(f"{report.protocol} of {report.model}{report.shown_output} on {report.data}")
    typer.echo(f"{what}, seed {report.seed}, {report.seconds} s")
    for name, figure in report.figures.items():
        typer.echo(f"  {printable(name):<34} {figure}  of {figure.images} images")
    for pair in report.confusions:
        typer.echo(f"  {printable(pair.actual)} taken for {printable(pair.predicted)}: {pair.images} images")
    if path is not None:
        typer.echo(f"  {printable(str(path))}")
