"""One photo, two encoders, two columns of hits."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from demo import markup
from demo.search import Shown  # at run time too: Gradio reads the handlers' annotations
from demo.tabs.parts import captioned, explained, photo_input, photos
from demo.uploads import open_upload
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.images import read_image

if TYPE_CHECKING:
    from PIL import Image

    from demo.comparison import Column
    from demo.services import Services

_EXAMPLES = 6
_DECODED_PX = 512
_PROGRESS = gr.Progress()
"""How a handler asks Gradio for a progress bar: by this default."""


class CompareTab:
    """Its components, and what they do."""

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
                    alt_text="The photo you sent",
                    elem_id="compare-photo",
                )
                self.picks = photos("Or one of these", small=True)
                self.first = gr.Dropdown(list(specs), value=specs[0], label="First encoder")
                self.second = gr.Dropdown(list(specs), value=specs[min(1, len(specs) - 1)], label="Second encoder")
                self.among = gr.Slider(
                    50, 5_000, value=500, step=50, label="Photos compared",
                    info="Drawn at random; an encoder that is not the library's embeds them now",
                )  # fmt: skip
                if len(specs) < 2:
                    gr.Markdown(
                        "Only this library's encoder is on this machine. `mvmr-zoo import` brings others, and "
                        "`mvmr-demo --compare SPEC` offers anybody's here, as `effnet-lite:0`."
                    )
            with gr.Column(scale=3, min_width=300):
                self.told = gr.HTML(
                    markup.note("Send a photo, or pick one: what each encoder finds stands side by side.")
                )
                with gr.Row():
                    self.columns = [photos(name, elem_id=f"column-{name.lower()}") for name in ("First", "Second")]
        settings = [self.first, self.second, self.among]
        outputs = [self.compared, self.picks, self.told, *self.columns]
        wiring: tuple[tuple[Any, Callable[..., list[Any]], Any], ...] = (
            (self.photo.input, self._with_photo, self.photo),
            (self.picks.select, self._with_pick, self.examples),
            *((changed, self._compare, self.compared) for changed in (self.first.input, self.second.input)),
            (self.among.release, self._compare, self.compared),
        )
        for event, handler, asked in wiring:
            event(explained(handler), [asked, *settings], outputs, api_visibility="private", concurrency_limit=2)

    def load(self) -> list[Any]:
        """Photos to pick: values for `loads`."""
        some = self._services.searcher.examples(_EXAMPLES)
        gallery = gr.Gallery(captioned([(each.thumbnail, each.name) for each in some]), visible=bool(some))
        return [tuple(some), gallery]

    @property
    def loads(self) -> list[Any]:
        """What `load` gives values for."""
        return [self.examples, self.picks]

    def _with_photo(
        self, path: str | None, first: str, second: str, among: float, progress: gr.Progress = _PROGRESS
    ) -> list[Any]:
        return self._compare(None if path is None else Path(path), first, second, among, progress)

    def _with_pick(
        self,
        examples: tuple[Shown, ...],
        event: gr.SelectData,
        first: str,
        second: str,
        among: float,
        progress: gr.Progress = _PROGRESS,
    ) -> list[Any]:
        return self._compare(examples[event.index].id, first, second, among, progress)

    def _compare(
        self, asked: Path | int | None, first: str, second: str, among: float, progress: gr.Progress = _PROGRESS
    ) -> list[Any]:
        """What is asked is a file that was sent, or an id of the library; None is nothing yet."""
        if asked is None:
            return [gr.skip()] * 5
        image, hidden = self._opened(asked)
        columns = self._services.comparison.compare(
            image,
            (first, second),
            hidden=hidden,
            photos=int(among),
            progress=lambda done, total: progress((done, total), desc="embedding", unit="photos"),
        )
        common = {hit.photo.id for hit in columns[0].hits} & {hit.photo.id for hit in columns[1].hits}
        told = f"Among {markup.counted(columns[0].among, 'photo')}; {markup.counted(len(common), 'hit')} of both."
        again = gr.Gallery(selected_index=None)  # so that a click on the same one counts again
        return [asked, again, markup.note(told), *(_gallery(column) for column in columns)]

    def _opened(self, asked: Path | int) -> tuple[Image.Image, tuple[int, ...]]:
        """The image, and the ids of the photos that are it."""
        searcher = self._services.searcher
        if isinstance(asked, Path):
            return open_upload(asked).image, searcher.ask(asked).ids
        row = searcher.rows([asked]).get(asked)
        if row is None:
            raise ConfigError("The library has this photo no more. Reload the page.")
        return read_image(os.fsdecode(row.path), min_px=_DECODED_PX), (asked,)


def _gallery(column: Column) -> gr.Gallery:
    hits = captioned([(each.photo.thumbnail, f"{each.photo.name}\n{each.score:.3f}") for each in column.hits])
    return gr.Gallery(hits, label=column.spec)
