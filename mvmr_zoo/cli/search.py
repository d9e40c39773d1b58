"""`mvmr-zoo search`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from mvmr_zoo._io import AsJson, explain_errors
from mvmr_zoo.cli.options import DeviceName, Library, ModelSpec, library_folder
from mvmr_zoo.errors import ConfigError, printable

if TYPE_CHECKING:
    from mvmr_zoo.models import Device
    from mvmr_zoo.search import Hit


app = typer.Typer()


@app.command()
@explain_errors
def search(
    photos: Annotated[list[Path] | None, typer.Argument(help="Query photos.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of hits.")] = 10,
    like_id: Annotated[
        list[int] | None, typer.Option("--id", help="Id of a photo of the library to search with.")
    ] = None,
    unlike: Annotated[
        list[Path] | None, typer.Option(help="Photo that hits must not resemble. Can be repeated.")
    ] = None,
    unlike_id: Annotated[
        list[int] | None, typer.Option(help="Id of a photo of the library that hits must not resemble.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Only photos below this folder.")] = None,
    taken_from: Annotated[
        str | None, typer.Option("--from", help="Only photos taken on this day, month or year, or later.")
    ] = None,
    taken_to: Annotated[
        str | None, typer.Option("--to", help="Only photos taken on this day, month or year, or before.")
    ] = None,
    min_px: Annotated[
        int | None, typer.Option(help="Only photos whose short side has at least this many pixels.")
    ] = None,
    min_percentile: Annotated[
        float | None,
        typer.Option(
            help="Only hits more similar to the query than this percentage of random pairs of the library's photos are "
            "to each other, 0 to 100."
        ),
    ] = None,
    page: Annotated[int, typer.Option(min=1, help="Page of results, with k hits per page.")] = 1,
    keep_query: Annotated[bool, typer.Option("--keep-query", help="Include the query photo itself.")] = False,
    group: Annotated[bool, typer.Option("--group", help="List near duplicates below their best copy.")] = False,
    library: Library = None,
    model: ModelSpec = None,
    device: DeviceName = "auto",
    as_json: AsJson = False,
    sheet: Annotated[Path | None, typer.Option(help="Write the query and its hits into one picture.")] = None,
) -> None:
    """Search for photos similar to one or several photos."""
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
                f"{place} is an embeddings folder, which has no dates, sizes or copies. Omit --folder, --from, --to, "
                "--min-px and --group."
            )
        shards = EmbeddingsLibrary(place, model=model, device=cast("Device", device))
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
        typer.echo("No matches.", err=True)
    if sheet is not None:
        typer.echo(f"Contact sheet: {printable(str(sheet))}", err=True)


def _plain(hit: Hit) -> dict[str, Any]:
    """A hit as JSON."""
    found: dict[str, Any] = {"id": hit.id, "path": os.fspath(hit.path), "score": round(hit.score, 6)}
    if hit.percentile is not None:
        found["percentile"] = round(hit.percentile, 2)
    if hit.copies:
        found["copies"] = [_plain(copy) for copy in hit.copies]
    return found
