"""The endpoints /search, /search_by_id and /status for gradio_client and, with `--mcp`, as MCP tools.

The names of the endpoints, their parameters and their results are stable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from demo.hits import PageHit
from demo.searcher import MAX_HITS, SEARCHES_AT_ONCE, Options
from demo.tabs.parts import photo_input, show_errors
from demo.trail import QueryPhoto, Step
from mvmr_zoo.search import Filters

if TYPE_CHECKING:
    from demo.searcher import Searcher

DEFAULT_K = 10


def add_api(searcher: Searcher) -> None:
    """Add the endpoints to the page under construction."""

    def find(
        query: QueryPhoto, k: float, min_percentile: float, taken_from: str, taken_to: str
    ) -> list[dict[str, Any]]:
        filters = Filters(
            taken_from=taken_from or None, taken_to=taken_to or None, min_percentile=min_percentile or None
        )
        hits = searcher.search(Step((query,)), Options(k=int(k), filters=filters), pictures=False)
        return [_to_dict(hit) for hit in hits]

    @show_errors
    def search(photo: str, k: float, min_percentile: float, taken_from: str, taken_to: str) -> list[dict[str, Any]]:
        """Find the photos in the library that are most similar to a photo.

        Args:
            photo: Query photo: a JPEG, PNG, WebP, HEIC or AVIF file of at most 20 MB. Over MCP, a
                data:image/…;base64 URI or the URL of a file uploaded to this page. Other URLs are rejected.
            k: Number of photos to return, 1 to 200.
            min_percentile: Minimum percentile, 0 to 100: how many percent of random pairs of photos are less similar.
                0 returns all photos.
            taken_from: First date, for example 2024-05-31, 2024-05 or 2024. Empty for no limit.
            taken_to: Last date, inclusive, in the same formats. Empty for no limit.

        Returns:
            Photos sorted by similarity: id, name, place (path), score (cosine similarity), percentile, taken, width,
            height, bytes.
        """
        if photo is None:
            raise gr.Error("No photo was sent. Send a photo.", print_exception=False)
        return find(searcher.query_from_file(photo), k, min_percentile, taken_from, taken_to)

    @show_errors
    def search_by_id(
        id: float, k: float, min_percentile: float, taken_from: str, taken_to: str
    ) -> list[dict[str, Any]]:
        """Find the photos that are most similar to a photo in the library. Faster than sending the photo.

        Args:
            id: Id of the query photo, from the result of a search.
            k: Number of photos to return, 1 to 200.
            min_percentile: Minimum percentile, 0 to 100: how many percent of random pairs of photos are less similar.
                0 returns all photos.
            taken_from: First date, for example 2024-05-31, 2024-05 or 2024. Empty for no limit.
            taken_to: Last date, inclusive, in the same formats. Empty for no limit.

        Returns:
            Photos sorted by similarity: id, name, place (path), score (cosine similarity), percentile, taken, width,
            height, bytes.
        """
        return find(searcher.query_from_id(int(id or 0)), k, min_percentile, taken_from, taken_to)

    @show_errors
    def status() -> dict[str, Any]:
        """Return the status of the library.

        Returns:
            Counts of photos, missing photos and failures; the name, output and vector dimension of the model.
        """
        current = searcher.status()
        return {
            "photos": current.photos,
            "missing": current.missing,
            "failures": len(current.failures),
            "model": searcher.model.card.name,
            "output": searcher.model.output,
            "dimension": searcher.model.dim,
        }

    with gr.Row(visible=False):
        photo = photo_input(label="photo")
        id_ = _with_example(gr.Number(label="id", value=1, precision=0), 1)
        options = [
            _with_example(gr.Slider(1, MAX_HITS, value=DEFAULT_K, step=1, label="k"), DEFAULT_K),
            _with_example(gr.Slider(0, 100, value=0, label="min_percentile"), 90),
            _with_example(gr.Textbox("", label="taken_from"), "2024-05"),
            _with_example(gr.Textbox("", label="taken_to"), "2024"),
        ]
        hits, library_status, button = gr.JSON(label="hits"), gr.JSON(label="status"), gr.Button()
        for name, handler, query in (("search", search, photo), ("search_by_id", search_by_id, id_)):
            button.click(
                handler,
                [query, *options],
                hits,
                api_name=name,
                concurrency_id="search",
                concurrency_limit=SEARCHES_AT_ONCE,
            )
        button.click(status, None, library_status, api_name="status")


def _with_example(component: gr.components.Component, example: object) -> gr.components.Component:
    """Set the example value of a parameter on the API documentation page."""
    component.example_payload = lambda: example  # type: ignore[method-assign]
    return component


def _to_dict(hit: PageHit) -> dict[str, Any]:
    photo = hit.photo
    return {
        "id": photo.id,
        "name": photo.name,
        "place": photo.place,
        "score": round(hit.score, 6),
        "percentile": None if hit.percentile is None else round(hit.percentile, 2),
        "taken": photo.taken,
        "width": photo.width,
        "height": photo.height,
        "bytes": photo.size,
    }
