"""The library as points in two dimensions; a click shows the photo nearest to it.

Gradio's own scatter plot draws every point as an element of the page and can select only a range of its x axis; so the
map is a picture, and a click on it is the picture's `select`, which tells where.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from demo import markup
from demo.photo_map import MOST_POINTS, PALETTE, PhotoMap, View, draw_map, has_umap, nearest_point
from demo.search import Shown
from demo.tabs.detail import Detail
from demo.tabs.parts import explained
from mvmr_zoo.errors import ConfigError

if TYPE_CHECKING:
    from demo.services import Services

_ZOOM = 2.5
_MOST_ZOOM = 2.5**4


@dataclass(frozen=True)
class Looking:
    """What one person looks at, and the photo they chose."""

    view: View = field(default_factory=View)
    chosen: Shown | None = None


class MapTab:
    """Its components, and what they do."""

    def __init__(self, services: Services, tab: gr.Tab) -> None:
        self._services = services
        self.looking = gr.State(Looking(), time_to_live=3_600)
        with gr.Row():
            with gr.Column(scale=3, min_width=300):
                with gr.Row():
                    methods = [("PCA", "pca"), ("UMAP", "umap")] if has_umap() else [("PCA", "pca")]
                    self.projection = gr.Radio(
                        methods, value="pca", label="Projection", min_width=140,
                        info=None if has_umap() else "`pip install 'mvmr-zoo[umap]'` offers UMAP too",
                    )  # fmt: skip
                    self.colors = gr.Radio(["folder", "cluster"], value="folder", label="Colored by", min_width=140)
                self.picture = gr.Image(
                    show_label=False, interactive=False, type="pil", format="png", buttons=["fullscreen"],
                    elem_id="map", alt_text="Every photo as a point; similar photos lie near each other",
                )  # fmt: skip
                with gr.Row():
                    closer = gr.Button("Closer", size="sm", min_width=90)
                    whole = gr.Button("Whole map", size="sm", min_width=90)
                    following = gr.Button("Next point", size="sm", min_width=90)
                self.legend = gr.HTML(elem_id="legend")
            with gr.Column(scale=2, min_width=280):
                self.hint = gr.HTML(markup.note("Click a point: its photo is shown here."))
                self.detail = Detail(("Search with it",), "map-detail")
        inputs = [self.looking, self.projection, self.colors]
        self._outputs = [self.looking, self.picture, self.legend, self.hint, *self.detail.outputs]
        for event, handler in (
            (tab.select, self._draw),
            (self.projection.input, self._draw),
            (self.colors.input, self._draw),
            (self.picture.select, self._choose),
            (closer.click, self._closer),
            (whole.click, self._whole),
            (following.click, self._following),
        ):
            event(explained(handler), inputs, self._outputs, api_visibility="private", concurrency_limit=4)

    @property
    def search_with_it(self) -> gr.Button:
        """The button below the chosen photo."""
        return self.detail.buttons[0]

    def chosen_id(self, looking: Looking) -> int:
        """Of the chosen photo. Raises ConfigError where there is none."""
        if looking.chosen is None:
            raise ConfigError("Click a point of the map first.")
        return looking.chosen.id

    def _draw(self, looking: Looking, projection: Any, colors: Any) -> list[Any]:
        made = self._services.photo_map(projection, colors)
        chosen = looking.chosen
        if chosen is None:
            shown = self.detail.hides()
        else:
            shown = self.detail.shows(self._services.searcher, chosen)
        picture = draw_map(made, looking.view, None if chosen is None else chosen.id)
        return [looking, picture, _legend(made), "" if chosen else gr.skip(), *shown]

    def _choose(self, looking: Looking, event: gr.SelectData, projection: Any, colors: Any) -> list[Any]:
        made = self._services.photo_map(projection, colors)
        return self._at(looking, made, nearest_point(made, looking.view, *event.index), projection, colors)

    def _following(self, looking: Looking, projection: Any, colors: Any) -> list[Any]:
        """The point right of the chosen one, for those who do not point."""
        made = self._services.photo_map(projection, colors)
        order = made.xy[:, 0].argsort(kind="stable").tolist()
        chosen = None if looking.chosen is None else looking.chosen.id
        here = next((at for at, point in enumerate(order) if made.ids[point] == chosen), -1)
        return self._at(looking, made, order[(here + 1) % len(order)], projection, colors)

    def _at(self, looking: Looking, made: PhotoMap, point: int, projection: Any, colors: Any) -> list[Any]:
        chosen = self._services.searcher.show([int(made.ids[point])])
        return self._draw(replace(looking, chosen=chosen[0] if chosen else None), projection, colors)

    def _closer(self, looking: Looking, projection: Any, colors: Any) -> list[Any]:
        """Around the chosen photo, or where one looks already."""
        view = looking.view
        if looking.chosen is not None:
            made = self._services.photo_map(projection, colors)
            for x, y in made.xy[made.ids == looking.chosen.id]:
                view = View(float(x), float(y), view.zoom)
        return self._draw(
            replace(looking, view=replace(view, zoom=min(view.zoom * _ZOOM, _MOST_ZOOM))), projection, colors
        )

    def _whole(self, looking: Looking, projection: Any, colors: Any) -> list[Any]:
        return self._draw(replace(looking, view=View()), projection, colors)


def _legend(made: PhotoMap) -> str:
    counts = [int((made.groups == group).sum()) for group in range(len(made.names))]
    entries = "".join(
        f'<li><span style="background: {PALETTE[group]}"></span>{markup.text(name)} ({counts[group]:,})</li>'
        for group, name in enumerate(made.names)
    )
    drawn = f"{MOST_POINTS:,} of {made.total:,} photos, drawn at random." if made.total > len(made.ids) else ""
    return f'<ul class="legend">{entries}</ul>' + (markup.note(drawn) if drawn else "")
