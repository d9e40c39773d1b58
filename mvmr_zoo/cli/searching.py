"""`mvmr-zoo search`, `duplicates`: asking the photo library."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from mvmr_zoo.cli.options import DeviceName, Library, ModelSpec, library_folder
from mvmr_zoo.errors import ConfigError, printable
from mvmr_zoo.terminal import AsJson, explain_errors

if TYPE_CHECKING:
    from mvmr_zoo.library import Group, Hit
    from mvmr_zoo.zoo import Device

app = typer.Typer()

_GROUPS_A_SHEET = 200


@app.command()
@explain_errors
def search(
    photos: Annotated[list[Path] | None, typer.Argument(help="The photo to search with, or several.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many hits.")] = 10,
    like_id: Annotated[list[int] | None, typer.Option("--id", help="Search with a photo of the library.")] = None,
    unlike: Annotated[list[Path] | None, typer.Option(help="A photo that hits must not resemble.")] = None,
    unlike_id: Annotated[list[int] | None, typer.Option(help="The same, of the library.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Only photos below this folder.")] = None,
    taken_from: Annotated[str | None, typer.Option("--from", help="Only photos of this day or later.")] = None,
    taken_to: Annotated[str | None, typer.Option("--to", help="Only photos of this day or before.")] = None,
    min_px: Annotated[int | None, typer.Option(help="Only photos whose short side has so many pixels.")] = None,
    min_percentile: Annotated[
        float | None, typer.Option(help="Only hits more alike than so many percent of the library's photos.")
    ] = None,
    page: Annotated[int, typer.Option(min=1, help="The first k hits, the next k, and so on.")] = 1,
    keep_query: Annotated[bool, typer.Option("--keep-query", help="Show the query's own photo too.")] = False,
    group: Annotated[bool, typer.Option("--group", help="Near duplicates behind their best copy.")] = False,
    library: Library = None,
    model: ModelSpec = None,
    device: DeviceName = "auto",
    as_json: AsJson = False,
    sheet: Annotated[Path | None, typer.Option(help="Write the query and its hits as one picture.")] = None,
) -> None:
    """The photos of the library most like one photo, or several."""
    from mvmr_zoo.embeddings import is_embeddings_folder
    from mvmr_zoo.library import Filters, PhotoLibrary, Query
    from mvmr_zoo.library.sheet import save_sheet
    from mvmr_zoo.shards import ShardLibrary

    like = photos or []
    query = Query(like=like, like_ids=like_id or [], unlike=unlike or [], unlike_ids=unlike_id or [])
    filters = Filters(
        folder=folder, taken_from=taken_from, taken_to=taken_to, min_px=min_px, min_percentile=min_percentile
    )
    if sheet is not None and len(like) != 1:
        raise ConfigError("--sheet shows one query photo and its hits; give one photo.")
    offset = (page - 1) * k
    place = library_folder(library)
    if is_embeddings_folder(place):
        if filters.narrows or group:
            raise ConfigError(
                f"{place} is an embeddings folder, which knows no dates, sizes or copies; expected none of "
                "--folder, --from, --to, --min-px and --group."
            )
        shards = ShardLibrary(place, model=model, device=cast("Device", device))
        hits = shards.search(query, k, offset=offset, keep_query=keep_query, min_percentile=min_percentile)
    else:
        with PhotoLibrary(library, model=model, create=False, device=cast("Device", device)) as opened:
            hits = opened.search(query, k, filters=filters, offset=offset, keep_query=keep_query, group=group)
    if sheet is not None:
        save_sheet(sheet, [(like[0], hits)])
    if as_json:
        asked = os.fspath(like[0]) if len(like) == 1 else [os.fspath(photo) for photo in like]
        typer.echo(json.dumps({"query": asked, "ids": like_id or [], "hits": [_plain(hit) for hit in hits]}, indent=2))
        return
    for rank, hit in enumerate(hits, start=1 + (page - 1) * k):
        typer.echo(f"{rank:>3}  {hit.score:.3f}  {printable(str(hit.path))}")
        for copy in hit.copies:
            typer.echo(f"       copy  {printable(str(copy.path))}")
    if not hits:
        typer.echo("No photo answers to that.", err=True)
    if sheet is not None:
        typer.echo(f"contact sheet: {printable(str(sheet))}", err=True)


@app.command()
@explain_errors
def duplicates(
    library: Library = None,
    exact: Annotated[bool, typer.Option("--exact", help="Only files that are equal byte for byte.")] = False,
    cosine: Annotated[float | None, typer.Option(help="Smallest cosine of the vectors of near copies. Default: 0.7.")] = None,
    likeness: Annotated[float | None, typer.Option(help="Least correlation of their thumbnails; 0.9.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Report: .json, .csv, or a picture (.png, .jpg).")
    ] = None,
) -> None:
    """Groups of copies of the same photo. Nothing is ever deleted."""
    from mvmr_zoo.library import PhotoLibrary
    from mvmr_zoo.library.duplicates import COSINE, LIKENESS
    from mvmr_zoo.progress import progress_bar

    if output is not None and output.suffix.lower() not in (".json", ".csv", ".png", ".jpg", ".jpeg"):
        raise ConfigError(f"--output got {output}; expected a name ending in .json, .csv, .png or .jpg.")
    with PhotoLibrary(library, create=False) as opened, progress_bar("comparing") as progress:
        groups = opened.duplicates(
            near=not exact,
            cosine=COSINE if cosine is None else cosine,
            likeness=LIKENESS if likeness is None else likeness,
            progress=progress,
        )
    if output is not None:
        _report(output, groups)
        typer.echo(f"report: {printable(str(output))}", err=True)
    copies = [copy for group in groups for copy in group.copies]
    for group in groups:
        typer.echo(f"{group.width} x {group.height}  {group.size:>10,} bytes  {printable(str(group.path))}")
        for copy in group.copies:
            facts = f"{copy.width} x {copy.height}  {copy.size:>10,} bytes  {copy.kind} {copy.likeness:.2f}"
            typer.echo(f"    {facts}  {printable(str(copy.path))}")
    spare = sum(copy.size for copy in copies)
    typer.echo(f"{len(groups)} photos have {len(copies)} copies, {spare:,} bytes. Nothing was deleted.")


def _plain(hit: Hit) -> dict[str, Any]:
    """A hit for JSON."""
    found: dict[str, Any] = {"id": hit.id, "path": os.fspath(hit.path), "score": round(hit.score, 6)}
    if hit.percentile is not None:
        found["percentile"] = round(hit.percentile, 2)
    if hit.copies:
        found["copies"] = [_plain(copy) for copy in hit.copies]
    return found


def _report(path: Path, groups: list[Group]) -> None:
    """The groups as JSON, as CSV with a row a file, or as a picture with a line a group."""
    from mvmr_zoo.atomic import write_whole
    from mvmr_zoo.library.search import Hit
    from mvmr_zoo.library.sheet import save_sheet

    match path.suffix.lower():
        case ".json":
            plain = [json.loads(json.dumps(asdict(group), default=os.fspath)) for group in groups]
            write_whole(path, json.dumps(plain, indent=2) + "\n")
        case ".csv":
            text = io.StringIO()
            table = csv.writer(text)
            table.writerow(["group", "id", "path", "width", "height", "size", "kind", "cosine", "likeness"])
            for number, group in enumerate(groups):
                table.writerow([number, group.id, group.path, group.width, group.height, group.size, "best", 1, 1])
                for each in group.copies:
                    facts = [
                        each.width,
                        each.height,
                        each.size,
                        each.kind,
                        round(each.cosine, 4),
                        round(each.likeness, 4),
                    ]
                    table.writerow([number, each.id, each.path, *facts])
            write_whole(path, text.getvalue().encode("utf-8", "surrogateescape"))
        case _:
            if not groups:
                raise ConfigError(f"{path} was not written: there are no copies to show.")
            lines = [
                (group.path, [Hit(copy.id, copy.path, copy.cosine) for copy in group.copies])
                for group in groups[:_GROUPS_A_SHEET]
            ]
            save_sheet(path, lines)
