"""`mvmr-zoo index add`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mvmr_zoo._io import SOME_FAILED, counted, explain_errors, own_name
from mvmr_zoo.cli.options import EncoderDevice, Library, ModelSpec, index_app, tell
from mvmr_zoo.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mvmr_zoo.checkpoint import Output
    from mvmr_zoo.models import Device
    from mvmr_zoo.search import AddReport


@index_app.command("add")
@explain_errors
def index_add(
    folders: Annotated[list[Path], typer.Argument(help="Folders of photos, including their subfolders.")],
    library: Library = None,
    model: ModelSpec = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "--model-output",
            help="Output of the model for a new library: features or aligned. Default: the model's default output.",
        ),
    ] = None,
    dim: Annotated[
        int | None,
        typer.Option(
            help="Number of leading dimensions of aligned vectors to keep, for a new library. Default: all. A library "
            "keeps its number."
        ),
    ] = None,
    device: EncoderDevice = "auto",
    strict: Annotated[bool, typer.Option("--strict", help="Exit with code 1 if a photo could not be indexed.")] = False,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Mark photos as missing even if the folder is now empty.")
    ] = False,
    include: Annotated[
        list[str] | None,
        typer.Option(
            help="Index only photos whose names or paths match this pattern, for example '*.heic' or '2024/*'. "
            "Indexed photos of these folders that do not match are removed from the library. Can be repeated."
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            help="Skip photos and folders whose names or paths match this pattern, for example 'thumbs'. "
            "Indexed ones are removed from the library. Can be repeated."
        ),
    ] = None,
) -> None:
    """Index all photos in folders and their subfolders.

    Run it again after changes. Unchanged photos are not read again. Deleted photos are marked as missing. Unreadable
    photos are skipped and reported.
    """
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
            typer.echo("Progress is saved. Run the same command again to continue.", err=True)
            raise
        place = photos.folder
    for line in _summary(report):
        typer.echo(line)
    typer.echo(f"The library {printable(str(place))} contains {counted(report.total, 'photo')}.")
    if report.failures:
        where = f" --library {_quoted(library)}" if library else ""
        typer.echo(f"Run `{own_name()} index status{where}` to see why.", err=True)
        if strict:
            raise typer.Exit(SOME_FAILED)


def _summary(report: AddReport) -> Iterator[str]:
    """The result in sentences. The numbers of the first one add up to the photos found."""
    failed = report.found - report.added - report.unchanged - report.recognized
    yield (
        f"{counted(report.found, 'photo')} found: {report.added:,} indexed, {report.unchanged:,} unchanged, "
        f"{report.recognized:,} recognized by content, {failed:,} failed."
    )
    if unreadable := len(report.failures) - failed:
        what = counted(unreadable, "folder or file", "folders or files")
        yield f"{what} could not be read. There may be more photos."
    if report.removed:
        were, because = ("was", "its file is") if report.removed == 1 else ("were", "their files are")
        paths = f"{counted(report.removed, 'earlier path')} {were} removed from the library's results"
        yield f"{paths} because {because} gone or now excluded."


def _quoted(path: Path) -> str:
    """A path quoted for the shell, on one line."""
    return printable(shlex.quote(str(path)))
