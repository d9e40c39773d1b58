"""Map tab: the library as points in two dimensions. A click shows the nearest photo.

The map is an image whose `select` event gives the clicked pixel. Gradio's scatter plot is not used, because it draws
each point as a page element and can select only ranges of the x axis.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from demo import markup
from demo.hits import PhotoDetails
from demo.photo_map import MAX_POINTS, PALETTE, PhotoMap, View, draw_map, has_umap, nearest_point
from demo.tabs.detail import Detail
from demo.tabs.parts import show_errors
from mvmr_zoo.errors import ConfigError

if TYPE_CHECKING:
    from demo.services import Services

_ZOOM_STEP = 2.5
_MAX_ZOOM = 2.5**4


@dataclass(frozen=True)
class MapState:
    """Visible part of the map and the selected photo of a session."""

    view: View = field(default_factory=View)
    chosen: PhotoDetails | None = None


class MapTab:
    """Components and handlers of the tab."""

    def __init__(self, services: Services, tab: gr.Tab) -> None:
        self._services = services
        self.state = gr.State(MapState(), time_to_live=3_600)
        with gr.Row():
            with gr.Column(scale=3, min_width=300):
                with gr.Row():
                    methods = [("PCA", "pca"), ("UMAP", "umap")] if has_umap() else [("PCA", "pca")]
                    self.projection = gr.Radio(
                        methods, value="pca", label="Projection", min_width=140,
                        info=None if has_umap() else "Install `mvmr-zoo[umap]` to use UMAP",
                    )  # fmt: skip
                    self.colors = gr.Radio(["folder", "cluster"], value="folder", label="Color by", min_width=140)
                self.picture = gr.Image(
                    show_label=False, interactive=False, type="pil", format="png", buttons=["fullscreen"],
                    elem_id="map", alt_text="Map of the library. Nearby points are similar photos.",
                )  # fmt: skip
                with gr.Row():
                    zoom_in = gr.Button("Zoom in", size="sm", min_width=90)
                    reset = gr.Button("Reset zoom", size="sm", min_width=90)
                    next_point = gr.Button("Next point", size="sm", min_width=90)
                self.legend = gr.HTML(elem_id="legend")
            with gr.Column(scale=2, min_width=280):
                self.hint = gr.HTML(markup.note("Click a point to show its photo."))
                self.detail = Detail(("Search with this photo",), "map-detail")
        inputs = [self.state, self.projection, self.colors]
        self._outputs = [self.state, self.picture, self.legend, self.hint, *self.detail.outputs]
        for event, handler in (
            (tab.select, self._draw),
            (self.projection.input, self._draw),
            (self.colors.input, self._draw),
            (self.picture.select, self._select),
            (zoom_in.click, self._zoom_in),
            (reset.click, self._reset_zoom),
            (next_point.click, self._select_next),
        ):
            event(show_errors(handler), inputs, self._outputs, api_visibility="private", concurrency_limit=4)

    @property
    def search_button(self) -> gr.Button:
        """Button that searches with the selected photo."""
        return self.detail.buttons[0]

    def chosen_id(self, state: MapState) -> int:
        """Return the id of the selected photo. Raises ConfigError if no photo is selected."""
        if state.chosen is None:
            raise ConfigError("No photo is selected. Click a point of the map first.")
        return state.chosen.id

    def _draw(self, state: MapState, projection: Any, colors: Any) -> list[Any]:
        photo_map = self._services.photo_map(projection, colors)
        chosen = state.chosen
        if chosen is None:
            detail = self.detail.hide()
        else:
            detail = self.detail.show(self._services.searcher, chosen)
        picture = draw_map(photo_map, state.view, None if chosen is None else chosen.id)
        return [state, picture, _legend(photo_map), "" if chosen else gr.skip(), *detail]

    def _select(self, state: MapState, event: gr.SelectData, projection: Any, colors: Any) -> list[Any]:
        photo_map = self._services.photo_map(projection, colors)
        point = nearest_point(photo_map, state.view, *event.index)
        return self._select_point(state, photo_map, point, projection, colors)

    def _select_next(self, state: MapState, projection: Any, colors: Any) -> list[Any]:
        """Select the next point to the right, for use without a mouse."""
        photo_map = self._services.photo_map(projection, colors)
        order = photo_map.xy[:, 0].argsort(kind="stable").tolist()
        chosen = None if state.chosen is None else state.chosen.id
        current = next((index for index, point in enumerate(order) if photo_map.ids[point] == chosen), -1)
        return self._select_point(state, photo_map, order[(current + 1) % len(order)], projection, colors)

    def _select_point(
        self, state: MapState, photo_map: PhotoMap, point: int, projection: Any, colors: Any
    ) -> list[Any]:
        chosen = self._services.searcher.details([int(photo_map.ids[point])])
        return self._draw(replace(state, chosen=chosen[0] if chosen else None), projection, colors)

    def _zoom_in(self, state: MapState, projection: Any, colors: Any) -> list[Any]:
        """Zoom in on the selected photo, or on the current center."""
        view = state.view
        if state.chosen is not None:
            photo_map = self._services.photo_map(projection, colors)
            for x, y in photo_map.xy[photo_map.ids == state.chosen.id]:
                view = View(float(x), float(y), view.zoom)
        view = replace(view, zoom=min(view.zoom * _ZOOM_STEP, _MAX_ZOOM))
        return self._draw(replace(state, view=view), projection, colors)

    def _reset_zoom(self, state: MapState, projection: Any, colors: Any) -> list[Any]:
        return self._draw(replace(state, view=View()), projection, colors)


def _legend(photo_map: PhotoMap) -> str:
    counts = [int((photo_map.groups == group).sum()) for group in range(len(photo_map.names))]
    entries = "".join(
        f'<li><span style="background: {PALETTE[group]}"></span>{markup.text(name)} ({counts[group]:,})</li>'
        for group, name in enumerate(photo_map.names)
    )
    is_sample = photo_map.total > len(photo_map.ids)
    sample = f"The map shows a random sample of {MAX_POINTS:,} of {photo_map.total:,} photos." if is_sample else ""
    return f'<ul class="legend">{entries}</ul>' + (markup.note(sample) if sample else "")
