"""`mvmr-zoo index add`, `remove`, `prune` and `quickstart`: which photos the library has."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mvmr_zoo.cli.options import DeviceName, Library, ModelDim, ModelSpec, index_app, tell
from mvmr_zoo.errors import printable
from mvmr_zoo.terminal import SOME_FAILED, explain_errors, own_name

if TYPE_CHECKING:
    from mvmr_zoo.card import Output
    from mvmr_zoo.zoo import Device

app = typer.Typer()


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
    from mvmr_zoo.library import Globs, PhotoLibrary
    from mvmr_zoo.progress import progress_bar

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
        f"{report.recognised} recognised by content, {report.removed} gone, {len(report.failures)} failed."
    )
    typer.echo(f"The library {printable(str(place))} holds {report.total} photos.")
    if report.failures:
        where = f" --library {_quoted(library)}" if library else ""
        typer.echo(f"`{own_name()} index status{where}` lists the failures with their reasons.", err=True)
        if strict:
            raise typer.Exit(SOME_FAILED)


@index_app.command("remove")
@explain_errors
def index_remove(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders whose photos are to be forgotten; no file is touched.")
    ],
    library: Library = None,
) -> None:
    """Forget the photos of some folders."""
    from mvmr_zoo.library import PhotoLibrary

    with PhotoLibrary(library, create=False) as photos:
        removed = photos.remove(folders)
    typer.echo(f"{removed} photos forgotten. No file was touched.")


@index_app.command("prune")
@explain_errors
def index_prune(library: Library = None) -> None:
    """Forget the photos whose files are missing."""
    from mvmr_zoo.library import PhotoLibrary

    with PhotoLibrary(library, create=False) as photos:
        pruned = photos.prune()
    typer.echo(f"{pruned.forgotten} missing photos forgotten, {pruned.back} found to be there again.")


@app.command()
@explain_errors
def quickstart(
    folder: Annotated[Path, typer.Option(help="Where the sample photos, library and contact sheet go.")] = Path(
        "mvmr-quickstart"
    ),
    photos: Annotated[
        Path | None,
        typer.Option(help="Also search each photo of this folder. Each subfolder holds photos of one thing."),
    ] = None,
) -> None:
    """Make sample photos, index them and search them, in one minute."""
    from mvmr_zoo.progress import progress_bar
    from mvmr_zoo.quickstart import quickstart as run

    with progress_bar("indexing") as progress:
        report = run(folder, photos=photos, progress=progress)
    typer.echo(
        f"Indexed {report.photos} photos of {report.photographs} photographs with {report.model}, "
        f"and searched with {report.queries} views held back.\n"
    )
    own = "" if report.recall.groups is None else "   same subfolder"
    second = "" if report.recall.groups is None else f"{'first hit':>17}"
    typer.echo(f"{'':<20}another view of the photo   its other half{own}")
    typer.echo(f"{'':<20}{'first hit':>12}{'among five':>14}{'first hit':>17}{second}")
    for name, recall in ((report.model, report.recall), ("raw 16 x 16 pixels", report.pixels)):
        last = "" if recall.groups is None else f"{recall.groups:>17.3f}"
        typer.echo(f"{name:<20}{recall.at_1:>12.3f}{recall.at_5:>14.3f}{recall.halves:>17.3f}{last}")
    typer.echo("")
    for name, seconds in report.seconds.items():
        typer.echo(f"{name:<24} {seconds:6.2f} s")
    typer.echo(f"\nContact sheet: {printable(str(report.sheet))}\n\nNext:")
    me = own_name()
    typer.echo(f"  {me} search {_quoted(report.query)} --library {_quoted(report.library)}")
    typer.echo(f"  {me} index add ~/Pictures")
    typer.echo(f"  {me} search A-PHOTO.jpg --sheet hits.png")


def _quoted(path: Path) -> str:
    """As the shell reads it, on one line."""
    return printable(shlex.quote(str(path)))
