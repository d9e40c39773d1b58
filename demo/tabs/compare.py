"""One photo, two encoders, two columns of hits."""

from __future__ import annotations

import os
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


class CompareTab:
    """Its components, and what they do."""

    def __init__(self, services: Services) -> None:
        self._services = services
        specs = services.comparison.specs
        self.examples = gr.State((), time_to_live=3_600)
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
        outputs = [self.told, *self.columns]
        self.photo.input(
            explained(self._with_photo), [self.photo, *settings], outputs, api_visibility="private", concurrency_limit=2
        )
        self.picks.select(
            explained(self._with_pick),
            [self.examples, *settings],
            outputs,
            api_visibility="private",
            concurrency_limit=2,
        )

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
        self,
        path: str | None,
        first: str,
        second: str,
        among: float,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> list[Any]:
        if path is None:
            return [gr.skip()] * 3
        asked = self._services.searcher.ask(path)
        return self._compared(open_upload(path).image, asked.ids, first, second, among, progress)

    def _with_pick(
        self,
        examples: tuple[Shown, ...],
        event: gr.SelectData,
        first: str,
        second: str,
        among: float,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> list[Any]:
        id_ = examples[event.index].id
        row = self._services.searcher.rows([id_]).get(id_)
        if row is None:
            raise ConfigError("The library has this photo no more. Reload the page.")
        image = read_image(os.fsdecode(row.path), min_px=_DECODED_PX)
        return self._compared(image, (id_,), first, second, among, progress)

    def _compared(
        self,
        image: Image.Image,
        hidden: tuple[int, ...],
        first: str,
        second: str,
        among: float,
        progress: gr.Progress,
    ) -> list[Any]:
        columns = self._services.comparison.compare(
            image,
            (first, second),
            hidden=hidden,
            photos=int(among),
            progress=lambda done, total: progress((done, total), desc="embedding", unit="photos"),
        )
        common = {hit.photo.id for hit in columns[0].hits} & {hit.photo.id for hit in columns[1].hits}
        told = f"Among {columns[0].among:,} photos; {len(common)} hits are common to both."
        return [markup.note(told), *(_gallery(column) for column in columns)]


def _gallery(column: Column) -> gr.Gallery:
    hits = captioned([(each.photo.thumbnail, f"{each.photo.name}\n{each.score:.3f}") for each in column.hits])
    return gr.Gallery(hits, label=column.spec)
