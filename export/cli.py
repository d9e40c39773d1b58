"""`mvmr-export`: export an encoder to ONNX with a parity report. Heavy modules are imported inside the commands."""

from __future__ import annotations

from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mvmr_zoo._io import SOME_FAILED, AsJson, counted, explain_errors
from mvmr_zoo.errors import LimitError, MissingDependencyError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from export.agreement import Agreement
    from export.limits import Verdict
    from export.speed import Speed

_REQUIRED = ("torch", "torchvision", "onnx", "onnxscript", "onnxruntime")
"""Libraries that write exports and compare engines. Reading an export needs none of them."""

app = typer.Typer(
    help="Export encoders to ONNX files that run without PyTorch, each with a parity report.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)

Spec = Annotated[str, typer.Argument(help="Model name, folder, or external model such as timm:NAME.")]
Images = Annotated[
    Path | None,
    typer.Option(
        help="Folder of photos to compare the outputs on, and to calibrate int8. Default: the bundled sample photos."
    ),
]
Device = Annotated[str, typer.Option(help="Device: cpu or cuda.")]


@app.command()
@explain_errors
def onnx(
    spec: Spec,
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    dtype: Annotated[str, typer.Option(help="Data type: fp32, fp16 or int8.")] = "fp32",
    preprocess: Annotated[
        str,
        typer.Option(
            help="Preprocessing included in the graph: none, normalize, or full (one photo of any size per call)."
        ),
    ] = "none",
    size: Annotated[
        str | None, typer.Option(help="Side of the input image in pixels, or dynamic. Default: the model's input size.")
    ] = None,
    batch: Annotated[str, typer.Option(help="Images per call, or dynamic.")] = "dynamic",
    opset: Annotated[int, typer.Option(help="ONNX opset, 18 to 23.")] = 20,
    normalize_output: Annotated[
        bool, typer.Option("--normalize-output", help="Scale vectors to unit L2 norm.")
    ] = False,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "--model-output",
            help="Output of the model: features, or aligned for retrieval. Default: the model's default output.",
        ),
    ] = None,
    dim: Annotated[
        int | None, typer.Option(help="Number of leading dimensions of aligned vectors to keep. Default: all.")
    ] = None,
    head: Annotated[bool, typer.Option("--head", help="Include the classifier as a second output, logits.")] = False,
    device: Device = "cpu",
    images: Images = None,
    labels: Annotated[
        bool,
        typer.Option("--labels", help="Use the subfolders of --images as class labels. Needs at least 2,000 photos."),
    ] = False,
    min_agreement: Annotated[
        float | None,
        typer.Option(help="Minimum top-1 neighbor agreement. Default: fp32 0.99, fp16 0.98, int8 0.95."),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(help="Maximum drop in k-NN accuracy in percentage points, with --labels. Default: 0.1, int8 0.5."),
    ] = None,
    allow_failed: Annotated[
        bool, typer.Option("--allow-failed", help="Write the folder even if a limit is not met, and mark it as failed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Export an encoder to ONNX, with a parity report.

    The folder gets model.onnx, the parity report export.json, and the config.json of the checkpoint.
    """
    from export.options import ExportOptions, parse_batch, parse_size
    from mvmr_zoo.checkpoint import output_in_words

    options = ExportOptions(
        dtype=dtype,  # type: ignore[arg-type]  # ExportOptions validates it
        stage=preprocess,  # type: ignore[arg-type]  # likewise
        size=parse_size(size),
        batch=parse_batch(batch),
        opset=opset,
        unit_norm=normalize_output,
        head=head,
        output=output,  # type: ignore[arg-type]  # load validates it
        dim=dim,
        device=device,  # type: ignore[arg-type]  # likewise
    )
    _check_installed("write an exported folder")
    from export.parity_report import to_json
    from export.write import Demands, export_onnx

    demands = Demands(
        images=images, labels=labels, min_agreement=min_agreement, max_drop=max_drop, allow_failed=allow_failed
    )
    try:
        report = export_onnx(spec, out, options, demands, progress=lambda line: typer.echo(line, err=True))
    except LimitError as error:
        typer.echo(f"Failed: {printable(str(error))}", err=True)
        raise typer.Exit(SOME_FAILED) from None
    if as_json:
        typer.echo(to_json(report.to_dict()))
    else:
        _print_report(out, report.verdicts, report.agreement)
        for batch_size, speed in report.speed.items():
            for engine, each in speed.items():
                _print_speed(engine, batch_size, each)
        in_float = f", {counted(len(report.in_float), 'layer')} in float" if report.in_float else ""
        output_text = output_in_words(report.signature.output, report.signature.embedding_dim)
        size_mb = (out / "model.onnx").stat().st_size / 1e6
        typer.echo(f"  {size_mb:.1f} MB, {report.signature.dtype}{in_float}, {output_text}")
    if not report.passed:
        raise typer.Exit(SOME_FAILED)


@app.command()
@explain_errors
def check(
    folder: Annotated[Path, typer.Argument(help="Folder written by `mvmr-export onnx`.")],
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of the photos used for the report. Not needed if it used the sample photos."),
    ] = None,
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Repeat the measurements of a parity report without PyTorch, except k-NN accuracy."""
    from export.check import check as run
    from export.parity_report import to_json

    checked = run(folder, images=images, device=device)  # type: ignore[arg-type]  # load validates it
    if as_json:
        measured = asdict(checked.measured)
        del measured["features"]
        typer.echo(
            to_json({"passed": checked.passed, "verdicts": [asdict(each) for each in checked.verdicts], **measured})
        )
    else:
        _print_report(folder, checked.verdicts, checked.measured.agreement)
        for batch, speed in checked.speed.items():
            _print_speed("onnx", batch, speed)
        if not checked.passed_at_export:
            typer.echo("  FAILED at export, according to export.json")
    if not checked.passed:
        raise typer.Exit(SOME_FAILED)


@app.command()
@explain_errors
def bench(
    specs: Annotated[list[str], typer.Argument(help="Model names, folders, or external models such as timm:NAME.")],
    batch: Annotated[int, typer.Option(help="Images per call.")] = 16,
    images: Images = None,
    as_json: AsJson = False,
) -> None:
    """Compare engines and dtypes on this CPU.

    The results are speed, fraction of peak matrix multiplication throughput, and agreement with PyTorch.
    """
    _check_installed("compare engines")
    from export.bench import bench as run
    from export.parity_report import to_json

    for spec in specs:
        result = run(spec, batch=batch, images=images, progress=lambda line: typer.echo(line, err=True))
        if as_json:
            typer.echo(to_json(asdict(result)))
            continue
        rates = ", ".join(f"{name} {rate:.0f}" for name, rate in result.gemm_gflop_per_s.items())
        typer.echo(f"{printable(spec)}, {result.px} px, batch {result.batch}, {result.gflop:.2f} GFLOP per image")
        typer.echo(f"fp32 matrix product on this machine, GFLOP/s: {rates}. Agreement measured on {result.photos}.")
        typer.echo(f"{'':<24} {'images/s':>9} {'x eager':>8} {'of peak':>8} {'top-1 agree':>11} {'cosine':>8}")
        for row in result.rows:
            if row.note:
                typer.echo(f"{row.engine:<24} does not run on this machine: {printable(row.note)}")
                continue
            typer.echo(
                f"{row.engine:<24} {row.images_per_s:>9.1f} {row.times_eager:>8.2f} {row.peak_share:>8.0%} "
                f"{row.top1_agreement:>11.3f} {row.cosine_mean:>8.5f}"
            )


def _print_report(folder: Path, verdicts: Iterable[Verdict], agreement: Agreement) -> None:
    typer.echo(f"{printable(str(folder))}, {counted(agreement.photos, 'photo')} compared with PyTorch")
    for each in verdicts:
        bound = "at most" if each.name == "max_drop" else "at least"
        outcome = "passed" if each.passed else "FAILED"
        typer.echo(f"  {each.name:<20} {each.found:<10.6g} {bound} {each.limit:<8g} {outcome}")
    typer.echo(f"  {'top10_agreement':<20} {agreement.top10_agreement:.6g}")
    typer.echo(
        f"  {'absolute error':<20} {agreement.max_absolute_error:.3g} max, {agreement.mean_absolute_error:.3g} mean"
    )


def _print_speed(engine: str, batch: int, speed: Speed) -> None:
    latency = f"{speed.latency_p50_ms:.1f} ms p50, {speed.latency_p95_ms:.1f} ms p95"
    typer.echo(f"  {f'{engine}, batch {batch}':<20} {latency}, {speed.images_per_s:.0f} images/s")


def main() -> None:
    """Run the console script."""
    app()


def _check_installed(purpose: str) -> None:
    """Raise MissingDependencyError, whose message ends with `purpose`, if one of `_REQUIRED` is not installed."""
    for name in _REQUIRED:
        if find_spec(name) is None:
            raise MissingDependencyError(name, "cpu", purpose)
