"""For programs: /search, /search_by_id and /status, by gradio_client and, with --mcp, as MCP tools. Names are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from demo.search import MOST_HITS, Found, Options
from demo.tabs.parts import explained, photo_input
from demo.trail import Asked, Step
from mvmr_zoo.search import Filters

if TYPE_CHECKING:
    from demo.search import Searcher

HITS = 10

_LIMIT = 8


def add_api(searcher: Searcher) -> None:
    """Add the endpoints to the page that is being built."""

    def answer(asked: Asked, k: float, min_percentile: float, taken_from: str, taken_to: str) -> list[dict[str, Any]]:
        filters = Filters(
            taken_from=taken_from or None, taken_to=taken_to or None, min_percentile=min_percentile or None
        )
        return [
            _plain(hit) for hit in searcher.search(Step((asked,)), Options(k=int(k), filters=filters), pictures=False)
        ]

    @explained
    def search(photo: str, k: float, min_percentile: float, taken_from: str, taken_to: str) -> list[dict[str, Any]]:
        """Find the photos of the library that look most like a photo.

        Args:
            photo: the photo to search with, a JPEG, PNG, WebP, HEIC or AVIF file of at most 20 MB; over MCP as a
                data:image/…;base64 URI, or the address of a file uploaded to this page. Nothing else is fetched.
            k: how many photos to find, 1 to 200.
            min_percentile: least percentile, 0 to 100, of a photo's score among scores at random; 0 takes all.
            taken_from: only photos taken on this day or later, as 2024-05-31, 2024-05 or 2024; empty for all.
            taken_to: only photos taken on this day or before; empty for all.

        Returns:
            The photos, best first: id, name, place (where it lies), score, percentile, taken, width, height, bytes.
        """
        if photo is None:
            raise gr.Error("Send a photo.", print_exception=False)
        return answer(searcher.ask(photo), k, min_percentile, taken_from, taken_to)

    @explained
    def search_by_id(
        id: float, k: float, min_percentile: float, taken_from: str, taken_to: str
    ) -> list[dict[str, Any]]:
        """Find the photos of the library that look most like one of them; quicker than sending it.

        Args:
            id: the photo's number, as a search tells it.
            k: how many photos to find, 1 to 200.
            min_percentile: least percentile, 0 to 100, of a photo's score among scores at random; 0 takes all.
            taken_from: only photos taken on this day or later, as 2024-05-31, 2024-05 or 2024; empty for all.
            taken_to: only photos taken on this day or before; empty for all.

        Returns:
            The photos, best first: id, name, place (where it lies), score, percentile, taken, width, height, bytes.
        """
        return answer(searcher.ask_id(int(id or 0)), k, min_percentile, taken_from, taken_to)

    @explained
    def status() -> dict[str, Any]:
        """How the library stands.

        Returns:
            photos, missing and failures as counts; model, the encoder's name; output, the
            encoder's output that the vectors are; dimension of the vectors.
        """
        found = searcher.status()
        return {
            "photos": found.photos,
            "missing": found.missing,
            "failures": len(found.failures),
            "model": searcher.model.card.name,
            "output": searcher.model.output,
            "dimension": searcher.model.dim,
        }

    with gr.Row(visible=False):
        photo = photo_input(label="photo")
        id_ = _exemplified(gr.Number(label="id", value=1, precision=0), 1)
        options = [
            _exemplified(gr.Slider(1, MOST_HITS, value=HITS, step=1, label="k"), HITS),
            _exemplified(gr.Slider(0, 100, value=0, label="min_percentile"), 90),
            _exemplified(gr.Textbox("", label="taken_from"), "2024-05"),
            _exemplified(gr.Textbox("", label="taken_to"), "2024"),
        ]
        found, state, button = gr.JSON(label="hits"), gr.JSON(label="status"), gr.Button()
        for name, handler, asked in (("search", search, photo), ("search_by_id", search_by_id, id_)):
            button.click(
                handler, [asked, *options], found, api_name=name, concurrency_id="search", concurrency_limit=_LIMIT
            )
        button.click(status, None, state, api_name="status")


def _exemplified(component: gr.components.Component, example: object) -> gr.components.Component:
    """A parameter whose example, on the page that explains the API, is one of ours."""
    component.example_payload = lambda: example  # type: ignore[method-assign]
    return component


def _plain(hit: Found) -> dict[str, Any]:
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
