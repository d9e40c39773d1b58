"""`mvmr-zoo quickstart`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from mvmr_zoo._io import counted, explain_errors, own_name
from mvmr_zoo.errors import printable

app = typer.Typer()


@app.command()
@explain_errors
def quickstart(
    folder: Annotated[
        Path, typer.Option(help="Folder for the sample photos, the library and the contact sheet.")
    ] = Path("mvmr-quickstart"),
    photos: Annotated[
        Path | None,
        typer.Option(help="Also test the search on your own photos. The folder needs one subfolder per subject."),
    ] = None,
) -> None:
    """Create sample photos, index them and search them.

    This takes some seconds and measures how well the search works.
    """
    from mvmr_zoo._io import progress_bar
    from mvmr_zoo.evaluate import RAW_PIXELS
    from mvmr_zoo.quickstart import quickstart as run

    with progress_bar("indexing") as progress:
        report = run(folder, photos=photos, progress=progress)
    typer.echo(
        f"Indexed {counted(report.photos, 'variant')} of {counted(report.photographs, 'photo')} with "
        f"{report.model}, then searched with {report.queries:,} other variants.\n"
    )
    own = "" if report.recall.groups is None else f"{'same subfolder':>17}"
    second = "" if report.recall.groups is None else f"{'as first hit':>17}"
    typer.echo(
        f"{'Share of searches with':<22}{'another variant of the photo':>33}{'other half of the photo':>26}{own}"
    )
    typer.echo(f"{'':<22}{'as first hit':>14}{'in the first five':>19}{'as first hit':>24}{second}")
    for name, recall in ((report.model, report.recall), (RAW_PIXELS, report.pixels)):
        last = "" if recall.groups is None else f"{recall.groups:>17.3f}"
        typer.echo(f"{name:<22}{recall.at_1:>14.3f}{recall.at_5:>19.3f}{recall.halves:>24.3f}{last}")
    typer.echo("")
    for name, seconds in report.seconds.items():
        typer.echo(f"{name:<24} {seconds:6.2f} s")
    typer.echo(f"\nContact sheet: {printable(str(report.sheet))}\n\nNext:")
    me = own_name()
    typer.echo(f"  {me} search {_quoted(report.query)} --library {_quoted(report.library)}")
    typer.echo(f"  {me} index add ~/Pictures")
    typer.echo(f"  {me} search A-PHOTO.jpg --sheet hits.png")


def _quoted(path: Path) -> str:
    """A path quoted for the shell, on one line."""
    return printable(shlex.quote(str(path)))
