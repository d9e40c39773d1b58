"""`mvmr-zoo embed`: any number of images to an embeddings folder, or on a cluster; `mvmr-zoo gather` joins the two."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mvmr_zoo._io import SOME_FAILED, explain_errors
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

_REASONS = 3


@app.command()
@explain_errors
def embed(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder of photos, a text file of one path a line, or parquet:FILE[:COLUMN]; "
            "for --engine ray a folder or a URI, as s3://bucket/photos."
        ),
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", help="The embeddings folder to write; for --engine ray also a URI.")
    ],
    model: Annotated[
        str | None, typer.Option(help="Model name or checkpoint folder. Default: the one in the package.")
    ] = None,
    model_output: ModelOutput = None,
    dim: ModelDim = None,
    engine: Annotated[
        str, typer.Option(help="local, or ray: Parquet files, made on every machine of a Ray cluster.")
    ] = "local",
    shard_rows: Annotated[int, typer.Option(min=1, help="Images a shard; its vectors are held in memory.")] = 100_000,
    batch_size: Annotated[int, typer.Option(min=1, help="Images an inference call.")] = 32,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when an image could not be embedded.")] = False,
) -> None:
    """Vectors of many images, in files that autofaiss and clip-retrieval read. Run it again to go on after a kill."""
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
    parts: Annotated[str, typer.Argument(help="What `embed --engine ray` wrote: a folder or a URI.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The embeddings folder to write.")],
    shard_rows: Annotated[int, typer.Option(min=1, help="Images a shard; its vectors are held in memory.")] = 100_000,
) -> None:
    """The embeddings folder of what a Ray cluster embedded, sorted by path."""
    from mvmr_zoo.embed import gather_parquet

    _tell(gather_parquet(parts, output, shard_rows=shard_rows), os.fspath(output))


def _embed_here(source: str, output: str, encoder: Callable[[], Model], shard_rows: int, batch_size: int) -> int:
    """Embed on this machine; returns how many images failed."""
    from mvmr_zoo._io import progress_bar
    from mvmr_zoo.embed import embed_source, open_source

    inputs, folder = open_source(source), Path(output)
    with progress_bar("embedding") as progress:
        try:
            report = embed_source(
                inputs, encoder(), folder, shard_rows=shard_rows, batch_size=batch_size, progress=progress
            )
        except KeyboardInterrupt:
            typer.echo("Finished shards are kept; run the same command to go on.", err=True)
            raise
    _tell(report, os.fspath(folder))
    return report.failed


def _embed_on_ray(source: str, output: str, encoder: Callable[[], Model], shard_rows: int, batch_size: int) -> int:
    """Embed on a Ray cluster; returns how many images failed."""
    from mvmr_zoo.embed import embed_on_ray

    found = embed_on_ray(source, encoder(), output, rows_per_part=shard_rows, batch_size=batch_size)
    failed = found.reasons.total()
    typer.echo(
        f"{printable(output)}: {found.images - failed} of {found.images} images embedded, in {len(found.rows)} "
        f"Parquet files. `mvmr-zoo gather {printable(output)} -o FOLDER` makes an embeddings folder of them."
    )
    if failed:
        typer.echo(f"{failed} failed{_why(found.reasons)}; their rows have a reason in place of a vector.", err=True)
    return failed


def _tell(report: BulkReport, output: str) -> None:
    done = "is finished already, nothing to do" if report.was_finished else f"{report.made} made now"
    typer.echo(
        f"{printable(output)}: {report.embedded} of {report.images} images embedded, in {report.shards} shards; {done}."
    )
    if report.failed:
        typer.echo(f"{report.failed} failed{_why(report.reasons)}; {printable(output)}/failures lists them.", err=True)


def _why(reasons: Counter[str]) -> str:
    """The commonest reasons, in brackets."""
    told = [f"{count} {reason}" for reason, count in reasons.most_common(_REASONS)]
    more = ["…"] if len(reasons) > _REASONS else []
    return f" ({', '.join(told + more)})" if told else ""
