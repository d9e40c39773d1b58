"""`mvmr-zoo eval`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from mvmr_zoo._io import SOME_FAILED, counted, explain_errors
from mvmr_zoo.cli.options import ModelDim, check_folder_option
from mvmr_zoo.errors import printable

if TYPE_CHECKING:
    from mvmr_zoo.checkpoint import Output as VectorOutput
    from mvmr_zoo.evaluate import Evaluation, Report

app = typer.Typer(help="Evaluate encoders with fixed protocols.", no_args_is_help=True)

Spec = Annotated[str, typer.Argument(help="Model name, folder, or external model such as timm:NAME.")]
Data = Annotated[str, typer.Option(help="Data set name, folder:PATH or parquet:PATH.")]
DataRoot = Annotated[Path | None, typer.Option(help="Folder that contains the named data sets.")]
Download = Annotated[bool, typer.Option("--download", help="Download a named data set if it is missing.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Random seed.")]
Output = Annotated[Path | None, typer.Option(help="Write the report to this folder, as JSON and Markdown.")]
Attach = Annotated[bool, typer.Option("--attach", help="Add the results to the checkpoint folder and its model card.")]
Plots = Annotated[bool, typer.Option("--plots", help="Also write plots of the report to --output, as PNG files.")]
TenCrop = Annotated[
    bool, typer.Option("--ten-crop", help="Also evaluate ten crops of each test image. Only for linear and all.")
]

EvaluatedOutput = Annotated[
    str | None,
    typer.Option(
        "--model-output",
        help="Output of the model: features or aligned. Default: features for linear, linear-sgd, semi and voc07, "
        "otherwise the model's default output.",
    ),
]

_ALL = "all"

_HELP = {
    "knn": "Weighted k-NN classification with k = 20. It is also reported with k = 1, 5 and 200.",
    "linear": "Logistic regression on the features. The regularization strength is chosen on a held-out tenth of the "
    "training images.",
    "linear-sgd": "Linear classifier trained on random crops. It is trained with Adam for 100 epochs, as in the paper, "
    "with a higher learning rate.",
    "semi": "Accuracy of a classifier fine-tuned on few labels. Train the classifier with "
    "`python -m training.finetune`.",
    "voc07": "Mean average precision on VOC07. The classifier is a one-vs-rest logistic regression.",
    "retrieval": "Mean average precision and recall@k of image retrieval. Each test image is used as a query against "
    "all others.",
    _ALL: "Run all protocols that apply to the model and the data.",
}


def _command(protocol: str) -> Callable[..., None]:
    """The command of one protocol, or of all. They have the same options."""

    @explain_errors
    def command(
        model: Spec,
        data: Data,
        model_output: EvaluatedOutput = None,
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
            raise ConfigError("--plots needs --output FOLDER.")
        if ten_crop and protocol not in ("linear", _ALL):
            raise ConfigError(
                f"--ten-crop works only with linear and all. {protocol} evaluates one view of each test image."
            )
        if attach:
            attachable(model)
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)  # an error now is better than one after an hour
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
    first_dim: Annotated[
        int | None, typer.Option(help="Number of leading dimensions of its aligned output. Default: all.")
    ] = None,
    second_output: Annotated[str | None, typer.Option(help="Output of the second model: features or aligned.")] = None,
    second_dim: Annotated[
        int | None, typer.Option(help="Number of leading dimensions of its aligned output. Default: all.")
    ] = None,
    data_root: DataRoot = None,
    download: Download = False,
    seed: Seed = 0,
) -> None:
    """Compare two models on the same test images.

    The confidence interval of the difference comes from a paired bootstrap. You can also compare two outputs of the
    same model.
    """
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
    typer.echo(f"{one} minus {other}; 95% confidence intervals, {counted(rows[0].first.images or 0, 'test image')}")
    typer.echo(f"{'':<24} {'first':<24} {'second':<24} difference")
    for row in rows:
        typer.echo(f"{row.name:<24} {row.first!s:<24} {row.second!s:<24} {row.difference}")


@app.command()
@explain_errors
def table(
    reports: Annotated[Path, typer.Option(help="Folder of reports.")] = Path("reports"),
    write: Annotated[
        Path | None,
        typer.Option(
            help="Write the table into this file, between `<!-- reports: begin -->` and `<!-- reports: end -->`."
        ),
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Also list published results that have no report here.")
    ] = False,
) -> None:
    """Print a table of all reports in a folder.

    Published results of the same models are shown next to the measured ones.
    """
    from mvmr_zoo.evaluate import read_reports, table_markdown, write_table

    text = table_markdown(read_reports(reports), published=published)
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
            raise ConfigError(f"{path} is a report on different images. Choose another --output.")
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
        typer.echo(f"  {printable(name):<34} {figure}  of {counted(figure.images or 0, 'image')}")
    for pair in report.confusions:
        mistake = f"{printable(pair.actual)} classified as {printable(pair.predicted)}"
        typer.echo(f"  {mistake}: {counted(pair.images, 'image')}")
    if path is not None:
        typer.echo(f"  {printable(str(path))}")
