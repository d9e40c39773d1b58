"""`mvmr-zoo index add`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mvmr_zoo._io import SOME_FAILED, explain_errors, own_name
from mvmr_zoo.cli.options import DeviceName, Library, ModelDim, ModelSpec, index_app, tell
from mvmr_zoo.errors import printable

if TYPE_CHECKING:
    from mvmr_zoo.checkpoint import Output
    from mvmr_zoo.models import Device


@index_app.command("add")
@explain_errors
def index_add(
    folders: Annotated[list[Path], typer.Argument(help="Folders of photos; subfolders are searched too.")],
    library: Library = None,
    model: ModelSpec = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "--model-output",
            help="Output of the model for a new library: features or aligned. Default: the library's, or the model's.",
        ),
    ] = None,
    dim: ModelDim = None,
    device: DeviceName = "auto",
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when a photo could not be indexed.")] = False,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Take the photos of a folder that holds none now for missing.")
    ] = False,
    include: Annotated[
        list[str] | None, typer.Option(help="Take only photos of such names, as '*.heic' or '2024/*'.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Leave out photos and folders of such names, as 'thumbs'.")
    ] = None,
) -> None:
    """Index every photo below some folders. Run it again to take in what changed."""
    from mvmr_zoo._io import progress_bar
    from mvmr_zoo.search import Globs, PhotoLibrary

    globs = Globs(tuple(include or ()), tuple(exclude or ()))
    with (
        PhotoLibrary(
            library, model=model, output=cast("Output", output), dim=dim, device=cast("Device", device)
        ) as photos,
        progress_bar("indexing") as progress,
    ):
        try:
            report = photos.add(folders, progress=progress, allow_empty=allow_empty, globs=globs, note=tell)
        except KeyboardInterrupt:
            typer.echo("What was done is kept; run the same command to go on.", err=True)
            raise
        place = photos.folder
    typer.echo(
        f"{report.found} photos found: {report.added} indexed, {report.unchanged} unchanged, "
        f"{report.recognized} recognized by content, {report.removed} gone, {len(report.failures)} failed."
    )
    typer.echo(f"The library {printable(str(place))} holds {report.total} photos.")
    if report.failures:
        where = f" --library {_quoted(library)}" if library else ""
        typer.echo(f"`{own_name()} index status{where}` lists the failures with their reasons.", err=True)
        if strict:
            raise typer.Exit(SOME_FAILED)


def _quoted(path: Path) -> str:
    """As the shell reads it, on one line."""
    return printable(shlex.quote(str(path)))
