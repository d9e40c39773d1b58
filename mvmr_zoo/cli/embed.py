"""`mvmr-zoo embed`, on this machine or on a Ray cluster, and `mvmr-zoo gather`, which joins the output of a cluster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mvmr_zoo._io import SOME_FAILED, counted, explain_errors
from mvmr_zoo.cli.options import ModelDim, ModelOutput, check_folder_option
from mvmr_zoo.errors import ConfigError, printable

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from mvmr_zoo.checkpoint import Output
    from mvmr_zoo.embed import BulkReport
    from mvmr_zoo.inference import Model

app = typer.Typer()

ENGINES = ("local", "ray")

_REASONS_SHOWN = 3


@app.command()
@explain_errors
def embed(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder of photos, text file with one path per line, or parquet:FILE[:COLUMN]. With --engine ray, "
            "a folder or a URI such as s3://bucket/photos."
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", help="Embeddings folder to write. With --engine ray: folder or URI for Parquet files."
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(help="Model name, folder, or external model such as timm:NAME. Default: the default model."),
    ] = None,
    model_output: ModelOutput = None,
    dim: ModelDim = None,
    engine: Annotated[
        str, typer.Option(help="local, or ray to use all machines of a Ray cluster. ray writes Parquet files.")
    ] = "local",
    shard_rows: Annotated[
        int, typer.Option(min=1, help="Images per shard. The vectors of a shard are kept in memory.")
    ] = 100_000,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per inference call.")] = 32,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with code 1 if an image could not be embedded.")
    ] = False,
) -> None:
    """Write the vectors of many images to an embeddings folder.

    autofaiss and clip-retrieval can read the folder. If the command is interrupted, run it again to continue. A
    run with --engine ray starts again from the beginning.
    """
    if engine not in ENGINES:
        raise ConfigError(f"--engine is {engine!r}; expected {' or '.join(ENGINES)}.")
    check_folder_option(output)

    def encoder() -> Model:
        from mvmr_zoo.models import DEFAULT_MODEL, load

        return load(model or DEFAULT_MODEL, output=cast("Output", model_output), dim=dim)

    run = _embed_on_ray if engine == "ray" else _embed_here
    failed = run(source, output, encoder, shard_rows, batch_size)
    if failed and strict:
        raise typer.Exit(SOME_FAILED)


@app.command()
@explain_errors
def gather(
    parts: Annotated[str, typer.Argument(help="Folder or URI that `embed --engine ray` wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Embeddings folder to write.")],
    shard_rows: Annotated[
        int, typer.Option(min=1, help="Images per shard. The vectors of a shard are kept in memory.")
    ] = 100_000,
) -> None:
    """Convert `embed --engine ray` output to an embeddings folder.

    The result is sorted by path.
    """
    from mvmr_zoo.embed import gather_parquet

    _show(gather_parquet(parts, output, shard_rows=shard_rows), os.fspath(output))


def _embed_here(source: str, output: str, encoder: Callable[[], Model], shard_rows: int, batch_size: int) -> int:
    """Embed on this machine. Returns the number of images that failed."""
    from mvmr_zoo._io import progress_bar
    from mvmr_zoo.embed import embed_source, open_source

    inputs, folder = open_source(source), Path(output)
    with progress_bar("embedding") as progress:
        try:
            report = embed_source(
                inputs, encoder(), folder, shard_rows=shard_rows, batch_size=batch_size, progress=progress
            )
        except KeyboardInterrupt:
            typer.echo("Finished shards are saved. Run the same command again to continue.", err=True)
            raise
    _show(report, os.fspath(folder))
    return report.failed


def _embed_on_ray(source: str, output: str, encoder: Callable[[], Model], shard_rows: int, batch_size: int) -> int:
    """Embed on a Ray cluster. Returns the number of images that failed."""
    from mvmr_zoo.embed import embed_on_ray

    found = embed_on_ray(source, encoder(), output, rows_per_part=shard_rows, batch_size=batch_size)
    failed = found.reasons.total()
    typer.echo(
        f"{printable(output)}: {found.images - failed:,} of {counted(found.images, 'image')} embedded, in "
        f"{counted(len(found.rows), 'Parquet file')}. Run `mvmr-zoo gather {printable(output)} -o FOLDER` to convert "
        "them to an embeddings folder."
    )
    if failed:
        rows = "Its row has" if failed == 1 else "Their rows have"
        typer.echo(f"{failed:,} failed{_common_reasons(found.reasons)}. {rows} a reason instead of a vector.", err=True)
    return failed


def _show(report: BulkReport, output: str) -> None:
    done = "The folder was already complete." if report.was_finished else f"{report.made:,} new."
    typer.echo(
        f"{printable(output)}: {report.embedded:,} of {counted(report.images, 'image')} embedded, in "
        f"{counted(report.shards, 'shard')}. {done}"
    )
    if report.failed:
        typer.echo(
            f"{report.failed:,} failed{_common_reasons(report.reasons)}. {printable(output)}/failures lists the files.",
            err=True,
        )


def _common_reasons(reasons: Counter[str]) -> str:
    """The most common reasons, in parentheses."""
    shown = [f"{count} {reason}" for reason, count in reasons.most_common(_REASONS_SHOWN)]
    more = ["…"] if len(reasons) > _REASONS_SHOWN else []
    return f" ({', '.join(shown + more)})" if shown else ""
