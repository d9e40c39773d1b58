"""`mvmr-zoo search`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from mvmr_zoo._io import AsJson, explain_errors
from mvmr_zoo.cli.options import DeviceName, Library, library_folder
from mvmr_zoo.errors import ConfigError, printable

if TYPE_CHECKING:
    from mvmr_zoo.models import Device
    from mvmr_zoo.search import Hit, PhotoRow


app = typer.Typer()


@app.command()
@explain_errors
def search(
    photos: Annotated[list[Path] | None, typer.Argument(help="Query photos.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of hits.")] = 10,
    like_id: Annotated[
        list[int] | None, typer.Option("--id", help="Id of a library photo to use as a query. Can be repeated.")
    ] = None,
    unlike: Annotated[
        list[Path] | None, typer.Option(help="Photo to steer the results away from. Can be repeated.")
    ] = None,
    unlike_id: Annotated[
        list[int] | None,
        typer.Option(help="Id of a library photo to steer the results away from. Can be repeated."),
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Only photos in this folder and its subfolders.")] = None,
    taken_from: Annotated[
        str | None,
        typer.Option("--from", help="Only photos taken on or after this date: YYYY, YYYY-MM or YYYY-MM-DD."),
    ] = None,
    taken_to: Annotated[
        str | None,
        typer.Option("--to", help="Only photos taken on or before this date: YYYY, YYYY-MM or YYYY-MM-DD."),
    ] = None,
    min_px: Annotated[
        int | None, typer.Option(help="Only photos whose short side has at least this many pixels.")
    ] = None,
    min_percentile: Annotated[
        float | None,
        typer.Option(
            help="Minimum percentile of the similarity, 0 to 100. The percentile is the percentage of random photo "
            "pairs in the library that are less similar."
        ),
    ] = None,
    page: Annotated[int, typer.Option(min=1, help="Page of results, with k hits per page.")] = 1,
    keep_query: Annotated[bool, typer.Option("--keep-query", help="Include the query photo in the results.")] = False,
    group: Annotated[
        bool, typer.Option("--group", help="Combine near duplicates into one hit: the best copy.")
    ] = False,
    library: Library = None,
    model: Annotated[str | None, typer.Option(help="Model of the library. Default: the library's model.")] = None,
    device: DeviceName = "auto",
    as_json: AsJson = False,
    sheet: Annotated[
        Path | None, typer.Option(help="Save a contact sheet of the query and its hits to this image file.")
    ] = None,
) -> None:
    """Search for photos similar to one or more photos."""
    from mvmr_zoo.embed.folder import is_embeddings_folder
    from mvmr_zoo.search import EmbeddingsLibrary, Filters, PhotoLibrary, Query, save_sheet

    like = photos or []
    query = Query(like=like, like_ids=like_id or [], unlike=unlike or [], unlike_ids=unlike_id or [])
    filters = Filters(
        folder=folder, taken_from=taken_from, taken_to=taken_to, min_px=min_px, min_percentile=min_percentile
    )
    if sheet is not None and len(like) != 1:
        raise ConfigError("--sheet needs exactly one query photo.")
    offset = (page - 1) * k
    place = library_folder(library)
    if is_embeddings_folder(place):
        if filters.narrows or group:
            raise ConfigError(
                f"{place} is an embeddings folder, which has no dates, dimensions or copies. Omit --folder, --from, "
                "--to, --min-px and --group."
            )
        shards = EmbeddingsLibrary(place, model=model, device=cast("Device", device))
        hits = shards.search(query, k, offset=offset, keep_query=keep_query, min_percentile=min_percentile)
        rows: dict[int, PhotoRow] = {}
    else:
        with PhotoLibrary(library, model=model, create=False, device=cast("Device", device)) as opened:
            hits = opened.search(query, k, filters=filters, offset=offset, keep_query=keep_query, group=group)
            rows = opened.photos(each.id for hit in hits for each in (hit, *hit.copies))
    if sheet is not None:
        save_sheet(sheet, [(like[0], hits)])
    if as_json:
        found = [_plain(hit, rows) for hit in hits]
        asked = [os.fspath(photo) for photo in like]
        typer.echo(json.dumps({"query": asked, "ids": like_id or [], "hits": found}, indent=2))
        return
    if hits:
        _show(hits, first=1 + offset)
    else:
        typer.echo("No matches.", err=True)
    if sheet is not None:
        typer.echo(f"Contact sheet: {printable(str(sheet))}", err=True)


def _show(hits: list[Hit], first: int) -> None:
    """Print a table of hits, and what a percentile is if there are any.

    Args:
        hits: At least one hit.
        first: Rank of the first hit.
    """
    from mvmr_zoo.search import percentile_text

    has_percentiles = hits[0].percentile is not None
    percentile = "  percentile" if has_percentiles else ""
    typer.echo(f"rank        id  similarity{percentile}  path")
    for rank, hit in enumerate(hits, start=first):
        for place, each in ((str(rank), hit), *(("copy", copy) for copy in hit.copies)):
            percentile = "" if each.percentile is None else f"  {percentile_text(each.percentile):>10}"
            typer.echo(f"{place:>4}  {each.id:>8}  {each.score:>10.3f}{percentile}  {printable(str(each.path))}")
    if has_percentiles:
        typer.echo(
            "The percentile is the percentage of random photo pairs in this library that are less similar. "
            "It is not the probability of a match.",
            err=True,
        )


def _plain(hit: Hit, rows: dict[int, PhotoRow]) -> dict[str, Any]:
    """A hit as JSON, with the date, pixels and bytes of its photo if `rows` contains it."""
    found: dict[str, Any] = {"id": hit.id, "path": os.fspath(hit.path), "score": round(hit.score, 6)}
    if hit.percentile is not None:
        found["percentile"] = round(hit.percentile, 2)
    if row := rows.get(hit.id):
        found |= {"taken_at": row.taken_at, "width": row.width, "height": row.height, "size": row.stamp.size}
    if hit.copies:
        found["copies"] = [_plain(copy, rows) for copy in hit.copies]
    return found
