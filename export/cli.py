"""`mvmr-export`: an encoder as ONNX, with a certificate. Heavy modules are imported inside the commands."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from export.installed import check_installed
from mvmr_zoo._io import SOME_FAILED, AsJson, explain_errors
from mvmr_zoo.errors import LimitError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from export.agreement import Agreement
    from export.limits import Verdict
    from export.speed import Speed

app = typer.Typer(
    help="Encoders as ONNX files that need no PyTorch, each with a certificate of what was lost.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Spec = Annotated[str, typer.Argument(help="A model's name, a checkpoint folder, or somebody else's encoder.")]
Images = Annotated[Path | None, typer.Option(help="Folder of your photos; the bundled samples if not given.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]


@app.command()
@explain_errors
def onnx(
    spec: Spec,
    out: Annotated[Path, typer.Argument(help="The folder to write.")],
    dtype: Annotated[str, typer.Option(help="fp32, fp16 or int8.")] = "fp32",
    preprocess: Annotated[str, typer.Option(help="What goes inside: none, normalize or full (any photo).")] = "none",
    size: Annotated[str | None, typer.Option(help="Side of the image in pixels, or dynamic; the model's own.")] = None,
    batch: Annotated[str, typer.Option(help="Images a call, or dynamic.")] = "dynamic",
    opset: Annotated[int, typer.Option(help="ONNX opset, 18 to 23.")] = 20,
    normalize_output: Annotated[bool, typer.Option("--normalize-output", help="Unit vectors.")] = False,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "--model-output",
            help="Output of the model: features, or aligned for retrieval. Default: the model's own.",
        ),
    ] = None,
    dim: Annotated[
        int | None, typer.Option(help="Number of leading dimensions of aligned vectors to keep. Default: all.")
    ] = None,
    head: Annotated[bool, typer.Option("--head", help="The classifier too: a second output, logits.")] = False,
    device: Device = "cpu",
    images: Images = None,
    labels: Annotated[bool, typer.Option("--labels", help="--images has a subfolder a class: 2,000 photos.")] = False,
    min_agreement: Annotated[float | None, typer.Option(help="Least top-1 neighbor agreement; int8: 0.95.")] = None,
    max_drop: Annotated[float | None, typer.Option(help="With --labels: most points of k-NN lost; int8: 0.5.")] = None,
    allow_failed: Annotated[bool, typer.Option("--allow-failed", help="Keep it if a limit fails, marked.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write model.onnx, its certificate export.json, and the checkpoint's config.json."""
    from export.options import ExportOptions, parse_batch, parse_size
    from export.parity_report import to_json
    from mvmr_zoo.checkpoint import output_in_words

    options = ExportOptions(
        dtype=dtype,  # type: ignore[arg-type]  # ExportOptions checks them
        stage=preprocess,  # type: ignore[arg-type]  # likewise
        size=parse_size(size),
        batch=parse_batch(batch),
        opset=opset,
        unit_norm=normalize_output,
        head=head,
        output=output,  # type: ignore[arg-type]  # load checks it
        dim=dim,
        device=device,  # type: ignore[arg-type]  # likewise
    )
    check_installed("write an exported folder")
    from export.write import Demands, export_onnx

    demands = Demands(
        images=images, labels=labels, min_agreement=min_agreement, max_drop=max_drop, allow_failed=allow_failed
    )
    try:
        certificate = export_onnx(spec, out, options, demands, say=lambda text: typer.echo(text, err=True))
    except LimitError as error:
        typer.echo(f"Failed: {printable(str(error))}", err=True)
        raise typer.Exit(SOME_FAILED) from None
    if as_json:
        typer.echo(to_json(asdict(certificate)))
    else:
        _show(out, certificate.verdicts, certificate.agreement)
        for batch_size, speed in certificate.speed.items():
            for engine, each in speed.items():
                _show_speed(engine, batch_size, each)
        kept = f", {len(certificate.in_float)} layers in float" if certificate.in_float else ""
        shown = output_in_words(certificate.contract.output, certificate.contract.embedding_dim)
        typer.echo(f"  {(out / 'model.onnx').stat().st_size / 1e6:.1f} MB, {certificate.contract.dtype}{kept}, {shown}")
    if not certificate.passed:
        raise typer.Exit(SOME_FAILED)


@app.command()
@explain_errors
def check(
    folder: Annotated[Path, typer.Argument(help="A folder that `mvmr-export onnx` wrote.")],
    images: Annotated[Path | None, typer.Option(help="The photos it was measured on, unless the samples.")] = None,
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Repeat a certificate with ONNX Runtime alone."""
    from export.check import check as run
    from export.parity_report import to_json

    checked = run(folder, images=images, device=device)  # type: ignore[arg-type]  # load checks it
    if as_json:
        measured = asdict(checked.measured)
        del measured["features"]
        typer.echo(
            to_json({"passed": checked.passed, "verdicts": [asdict(each) for each in checked.verdicts], **measured})
        )
    else:
        _show(folder, checked.verdicts, checked.measured.agreement)
        for batch, speed in checked.speed.items():
            _show_speed("onnx", batch, speed)
        if not checked.certified:
            typer.echo("  FAILED when it was made: its certificate says so")
    if not checked.passed:
        raise typer.Exit(SOME_FAILED)


@app.command()
@explain_errors
def bench(
    specs: Annotated[list[str], typer.Argument(help="Models' names, checkpoint folders, or somebody else's encoders.")],
    batch: Annotated[int, typer.Option(help="Images a call.")] = 16,
    images: Images = None,
    as_json: AsJson = False,
) -> None:
    """Engines and dtypes side by side on this CPU: speed, share of its matrix product rate, accuracy kept."""
    check_installed("compare engines")
    from export.bench import bench as run
    from export.parity_report import to_json

    for spec in specs:
        found = run(spec, batch=batch, images=images, say=lambda text: typer.echo(text, err=True))
        if as_json:
            typer.echo(to_json(asdict(found)))
            continue
        rates = ", ".join(f"{name} {rate:.0f}" for name, rate in found.gemm_gflop_per_s.items())
        typer.echo(f"{printable(spec)}, {found.px} px, batch {found.batch}, {found.gflop:.2f} GFLOP an image")
        typer.echo(f"fp32 matrix product on this machine, GFLOP/s: {rates}; accuracy kept on {found.photos}")
        typer.echo(f"{'':<24} {'images/s':>9} {'x eager':>8} {'of peak':>8} {'top-1 kept':>11} {'cosine':>8}")
        for row in found.rows:
            if row.note:
                typer.echo(f"{row.engine:<24} does not run here: {printable(row.note)}")
                continue
            typer.echo(
                f"{row.engine:<24} {row.images_per_s:>9.1f} {row.times_eager:>8.2f} {row.peak_share:>8.0%} "
                f"{row.top1_agreement:>11.3f} {row.cosine_mean:>8.5f}"
            )


def _show(folder: Path, verdicts: Iterable[Verdict], agreement: Agreement) -> None:
    typer.echo(f"{printable(str(folder))}, {agreement.photos} photos beside PyTorch")
    for each in verdicts:
        bound = "at most" if each.name == "max_drop" else "at least"
        said = "passed" if each.passed else "FAILED"
        typer.echo(f"  {each.name:<20} {each.found:<10.6g} {bound} {each.limit:<8g} {said}")
    typer.echo(f"  {'top10_agreement':<20} {agreement.top10_agreement:.6g}")
    typer.echo(
        f"  {'absolute error':<20} {agreement.max_absolute_error:.3g} most, {agreement.mean_absolute_error:.3g} mean"
    )


def _show_speed(engine: str, batch: int, speed: Speed) -> None:
    latency = f"{speed.latency_p50_ms:.1f} ms p50, {speed.latency_p95_ms:.1f} ms p95"
    typer.echo(f"  {f'{engine}, batch {batch}':<20} {latency}, {speed.images_per_s:.0f} images/s")


def main() -> None:
    """The console script."""
    app()
