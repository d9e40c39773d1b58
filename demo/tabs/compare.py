"""Compare tab: the hits of two encoders for one photo."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from demo import markup
from demo.hits import PhotoDetails  # needed at run time, because Gradio reads the annotations of handlers
from demo.tabs.parts import gallery_items, photo_input, photos, show_errors
from demo.uploads import decode_upload, read_upload
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.images import read_image

if TYPE_CHECKING:
    from PIL import Image

    from demo.comparison import Column
    from demo.services import Services

_EXAMPLES = 6
_DECODED_PX = 512
_PROGRESS = gr.Progress()
"""Default argument by which a handler requests a progress bar from Gradio."""


class CompareTab:
    """Components and handlers of the tab."""

    def __init__(self, services: Services) -> None:
        self._services = services
        specs = services.comparison.specs
        self.examples = gr.State((), time_to_live=3_600)
        self.compared = gr.State(None, time_to_live=3_600)
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                self.photo = photo_input(
                    label="Photo",
                    sources=["upload", "clipboard"],
                    height=200,
                    buttons=[],
                    alt_text="Query photo",
                    elem_id="compare-photo",
                )
                self.picks = photos("Or choose an example", small=True)
                self.first = gr.Dropdown(list(specs), value=specs[0], label="First encoder")
                self.second = gr.Dropdown(list(specs), value=specs[min(1, len(specs) - 1)], label="Second encoder")
                self.sample_size = gr.Slider(
                    50, 5_000, value=500, step=50, label="Photos to search",
                    info="A random sample. Encoders other than the library's embed it on first use.",
                )  # fmt: skip
                if len(specs) < 2:
                    gr.Markdown(
                        "Only the encoder of this library is available. Import others with `mvmr-zoo import`, or start "
                        "the page with `mvmr-demo --compare SPEC`, for example `effnet-lite:0`."
                    )
            with gr.Column(scale=3, min_width=300):
                self.summary = gr.HTML(
                    markup.note("Drop a photo or choose an example to compare the hits of two encoders.")
                )
                with gr.Row():
                    self.columns = [photos(name, elem_id=f"column-{name.lower()}") for name in ("First", "Second")]
        settings = [self.first, self.second, self.sample_size]
        outputs = [self.compared, self.picks, self.summary, *self.columns]
        wiring: tuple[tuple[Any, Callable[..., list[Any]], Any], ...] = (
            (self.photo.input, self._with_photo, self.photo),
            (self.picks.select, self._with_pick, self.examples),
            *((changed, self._compare, self.compared) for changed in (self.first.input, self.second.input)),
            (self.sample_size.release, self._compare, self.compared),
        )
        for event, handler, query in wiring:
            event(show_errors(handler), [query, *settings], outputs, api_visibility="private", concurrency_limit=2)

    def load(self) -> list[Any]:
        """Return the example photos as values for `loads`."""
        examples = self._services.searcher.examples(_EXAMPLES)
        gallery = gr.Gallery(gallery_items([(each.thumbnail, each.name) for each in examples]), visible=bool(examples))
        return [tuple(examples), gallery]

    @property
    def loads(self) -> list[Any]:
        """Components that `load` returns values for."""
        return [self.examples, self.picks]

    def _with_photo(
        self, path: str | None, first: str, second: str, sample_size: float, progress: gr.Progress = _PROGRESS
    ) -> list[Any]:
        return self._compare(None if path is None else Path(path), first, second, sample_size, progress)

    def _with_pick(
        self,
        examples: tuple[PhotoDetails, ...],
        event: gr.SelectData,
        first: str,
        second: str,
        sample_size: float,
        progress: gr.Progress = _PROGRESS,
    ) -> list[Any]:
        return self._compare(examples[event.index].id, first, second, sample_size, progress)

    def _compare(
        self, query: Path | int | None, first: str, second: str, sample_size: float, progress: gr.Progress = _PROGRESS
    ) -> list[Any]:
        """Compare encoders for an uploaded file or a library id. Does nothing if there is no query yet."""
        if query is None:
            return [gr.skip()] * 5
        image, hidden = self._open_query(query)
        columns = self._services.comparison.compare(
            image,
            (first, second),
            hidden=hidden,
            photos=int(sample_size),
            progress=lambda done, total: progress((done, total), desc="Embedding", unit="photos"),
        )
        common = {hit.photo.id for hit in columns[0].hits} & {hit.photo.id for hit in columns[1].hits}
        searched = markup.count_text(columns[0].searched, "photo")
        summary = f"Searched {searched}. The encoders share {markup.count_text(len(common), 'hit')}."
        deselected = gr.Gallery(selected_index=None)  # so that a second click on the same photo triggers an event
        return [query, deselected, markup.note(summary), *(_gallery(column) for column in columns)]

    def _open_query(self, query: Path | int) -> tuple[Image.Image, tuple[int, ...]]:
        """Return the query image and the ids of the library photos with the same content."""
        searcher = self._services.searcher
        if isinstance(query, Path):
            upload = read_upload(query)
            return decode_upload(upload), tuple(searcher.copies_of(upload))
        row = searcher.rows([query]).get(query)
        if row is None:
            raise ConfigError("This photo is no longer in the library. Reload the page.")
        return read_image(os.fsdecode(row.path), min_px=_DECODED_PX), (query,)


def _gallery(column: Column) -> gr.Gallery:
    hits = gallery_items(
        [(each.photo.thumbnail, f"{each.photo.name}\nsimilarity {each.score:.3f}") for each in column.hits]
    )
    return gr.Gallery(hits, label=column.spec)
