"""`mvmr-zoo embed`: any number of images to an embeddings folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mvmr_zoo.errors import printable
from mvmr_zoo.terminal import SOME_FAILED, explain_errors

if TYPE_CHECKING:
    from mvmr_zoo.bulk import BulkReport

app = typer.Typer()

_REASONS = 3


@app.command()
@explain_errors
def embed(
    source: Annotated[
        str,
        typer.Argument(help="A folder of photos, a text file of one path a line, or parquet:FILE[:COLUMN]."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The embeddings folder to write.")],
    model: Annotated[
        str | None, typer.Option(help="Model name or checkpoint folder. Default: the one in the package.")
    ] = None,
    shard_rows: Annotated[int, typer.Option(min=1, help="Images a shard; its vectors are held in memory.")] = 100_000,
    batch_size: Annotated[int, typer.Option(min=1, help="Images an inference call.")] = 32,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when an image could not be embedded.")] = False,
) -> None:
    """Vectors of many images, in files that autofaiss and clip-retrieval read. Run it again to go on after a kill."""
    from mvmr_zoo.bulk import embed_source, open_source
    from mvmr_zoo.catalog import DEFAULT_MODEL
    from mvmr_zoo.progress import progress_bar
    from mvmr_zoo.zoo import load

    inputs = open_source(source)
    with progress_bar("embedding") as progress:
        try:
            encoder = load(model or DEFAULT_MODEL)
            report = embed_source(
                inputs, encoder, output, shard_rows=shard_rows, batch_size=batch_size, progress=progress
            )
        except KeyboardInterrupt:
            typer.echo("Finished shards are kept; run the same command to go on.", err=True)
            raise
    _tell(report, os.fspath(output))
    if report.failed and strict:
        raise typer.Exit(SOME_FAILED)


def _tell(report: BulkReport, output: str) -> None:
    done = "is finished already, nothing to do" if report.was_finished else f"{report.made} made now"
    typer.echo(
        f"{printable(output)}: {report.embedded} of {report.images} images embedded, in {report.shards} shards; {done}."
    )
    if report.failed:
        reasons = [f"{count} {reason}" for reason, count in report.reasons.most_common(_REASONS)]
        more = ["…"] if len(report.reasons) > _REASONS else []
        why = f" ({', '.join(reasons + more)})" if reasons else ""
        typer.echo(f"{report.failed} failed{why}; {printable(output)}/failures lists them.", err=True)
