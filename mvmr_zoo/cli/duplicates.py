"""`mvmr-zoo duplicates`."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mvmr_zoo._io import counted, explain_errors
from mvmr_zoo.cli.options import Library
from mvmr_zoo.errors import ConfigError, printable

if TYPE_CHECKING:
    from mvmr_zoo.search import Group


_GROUPS_PER_SHEET = 30
_COPIES_PER_GROUP = 10

app = typer.Typer()


@app.command()
@explain_errors
def duplicates(
    library: Library = None,
    exact: Annotated[bool, typer.Option("--exact", help="Only files with identical content.")] = False,
    cosine: Annotated[
        float | None,
        typer.Option(help="Minimum cosine similarity for two photos to count as near copies. Default: 0.6."),
    ] = None,
    correlation: Annotated[
        float | None,
        typer.Option(help="Minimum thumbnail correlation for two photos to count as near copies. Default: 0.9."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write a report to this file: .json, .csv, or a picture (.png or .jpg)."),
    ] = None,
) -> None:
    """Find copies of the same photo. Nothing is deleted."""
    from mvmr_zoo._io import progress_bar
    from mvmr_zoo.search import CORRELATION, COSINE, PhotoLibrary

    if output is not None and output.suffix.lower() not in (".json", ".csv", ".png", ".jpg", ".jpeg"):
        raise ConfigError(f"--output is {output}; expected a name that ends in .json, .csv, .png or .jpg.")
    with PhotoLibrary(library, create=False) as opened, progress_bar("comparing") as progress:
        groups = opened.duplicates(
            near=not exact,
            cosine=COSINE if cosine is None else cosine,
            correlation=CORRELATION if correlation is None else correlation,
            progress=progress,
        )
    if output is not None:
        _report(output, groups)
        typer.echo(f"Report: {printable(str(output))}", err=True)
    copies = [copy for group in groups for copy in group.copies]
    for group in groups if output is None else ():
        typer.echo(f"{group.width} x {group.height}  {group.size:>10,} bytes  {printable(str(group.path))}")
        for copy in group.copies:
            facts = f"{copy.width} x {copy.height}  {copy.size:>10,} bytes  {copy.kind} {copy.correlation:.2f}"
            typer.echo(f"    {facts}  {printable(str(copy.path))}")
    size = sum(copy.size for copy in copies)
    have = "has" if len(groups) == 1 else "have"
    total = f"{counted(len(copies), 'copy', 'copies')} ({counted(size, 'byte')} in total)"
    typer.echo(f"{counted(len(groups), 'photo')} {have} {total}. Nothing was deleted.")
    if output is not None and _is_picture(output) and (left_out := _left_out(groups)):
        typer.echo(f"{printable(str(output))} does not show {left_out}. Use --output with .json or .csv to see all.")


def _report(path: Path, groups: list[Group]) -> None:
    """Write the groups as JSON, as CSV with one row per file, or some as a picture with one line per group."""
    from mvmr_zoo._io import write_whole
    from mvmr_zoo.search import Hit, save_sheet

    match path.suffix.lower():
        case ".json":
            plain = [json.loads(json.dumps(asdict(group), default=os.fspath)) for group in groups]
            write_whole(path, json.dumps(plain, indent=2) + "\n")
        case ".csv":
            text = io.StringIO()
            table = csv.writer(text)
            table.writerow(["group", "id", "path", "width", "height", "size", "kind", "cosine", "correlation"])
            for number, group in enumerate(groups):
                table.writerow([number, group.id, group.path, group.width, group.height, group.size, "best", 1, 1])
                for each in group.copies:
                    facts = [
                        each.width,
                        each.height,
                        each.size,
                        each.kind,
                        round(each.cosine, 4),
                        round(each.correlation, 4),
                    ]
                    table.writerow([number, each.id, each.path, *facts])
            write_whole(path, text.getvalue().encode("utf-8", "surrogateescape"))
        case _:
            if not groups:
                raise ConfigError(f"{path} was not written because there are no copies to show.")
            lines = [
                (group.path, [Hit(copy.id, copy.path, copy.cosine) for copy in group.copies[:_COPIES_PER_GROUP]])
                for group in groups[:_GROUPS_PER_SHEET]
            ]
            save_sheet(path, lines, label="best")


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in (".png", ".jpg", ".jpeg")


def _left_out(groups: list[Group]) -> str:
    """The groups and copies that a picture does not show. Empty if it shows all."""
    hidden = len(groups[_GROUPS_PER_SHEET:])
    copies = sum(len(group.copies[_COPIES_PER_GROUP:]) for group in groups[:_GROUPS_PER_SHEET])
    parts = [f"{counted(hidden, 'photo')} with copies"] if hidden else []
    parts += [counted(copies, "further copy", "further copies")] if copies else []
    return " and ".join(parts)
