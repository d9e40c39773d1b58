"""Search tab: search with uploaded photos, examples and hits, and a search history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from demo import markup
from demo.hits import PageHit, PhotoDetails
from demo.searcher import SEARCHES_AT_ONCE
from demo.tabs.detail import Detail
from demo.tabs.filters import FilterBox
from demo.tabs.parts import gallery_items, photo_input, photos, show_errors
from demo.trail import QueryPhoto, Sign, Step, Trail
from mvmr_zoo.errors import printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from demo.services import Services

EXAMPLES = 8

_ROLES: dict[str, Sign | None] = {"new search": None, "more like this": "like", "less like this": "unlike"}
_MAX_NAME_LENGTH = 28

_SCROLL_TO_DETAIL = "() => document.getElementById('detail')?.scrollIntoView({block: 'start'})"
_SCROLL_TO_HITS = """() => {
  const top = document.getElementById('trail') ?? document.getElementById('heading')
  if (top && (innerWidth < 700 || top.getBoundingClientRect().top < 0)) top.scrollIntoView({block: 'start'})
}"""
"""Narrow pages place the hits below the query. On wide pages, the user may have scrolled down to an earlier hit."""


class DisplayedHits:
    """The hits that are currently displayed in a session, shared by all of its handlers."""

    hits: tuple[PageHit, ...] = ()


@dataclass(frozen=True)
class Session:
    """State of one session.

    Args:
        trail: Search history.
        hits: Hits of the current search.
        chosen: Hit that is shown enlarged; None if there is none.
        examples: Example photos.
        folders: Folders that the filters offer, by display name.
        settings: Values of the filters when the hits were found.
        displayed: Displayed hits. All versions of the state of a session share this object.
    """

    trail: Trail = field(default_factory=Trail)
    hits: tuple[PageHit, ...] = ()
    chosen: PhotoDetails | None = None
    examples: tuple[PhotoDetails, ...] = ()
    folders: Mapping[str, Path] = field(default_factory=dict)
    settings: tuple[Any, ...] = ()
    displayed: DisplayedHits = field(default_factory=DisplayedHits, compare=False)


class SearchTab:
    """Components and handlers of the tab."""

    def __init__(self, services: Services) -> None:
        self._services, self._searcher = services, services.searcher
        self.session = gr.State(Session(), time_to_live=3_600)
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                self._make_query_column()
            with gr.Column(scale=3, min_width=300):
                self._make_results_column()
        self.outputs = [
            self.session,
            self.steps,
            self.query_photos,
            self.heading,
            *self.detail.outputs,
            self.hits,
            self.more,
            self.examples,
        ]
        self._connect_events()

    def _make_query_column(self) -> None:
        self.photo = photo_input(
            label="Photo",
            sources=["upload", "clipboard", "webcam"],
            height=230,
            buttons=[],
            alt_text="Query photo",
            placeholder="Drop a photo here\nor click to choose a file",
            elem_id="photo",
        )
        self.role = gr.Radio(list(_ROLES), value="new search", label="Use the next photo as", elem_classes="compact")
        self.query_photos = photos(
            "Query photos (click one to remove it)", small=True, visible=False, elem_id="query-photos"
        )
        self.examples = photos("Or choose an example", small=True, elem_id="examples")
        with gr.Accordion("Filters", open=False):
            self.filters = FilterBox(self._searcher, self._services.folder)

    def _make_results_column(self) -> None:
        self.steps = gr.Radio(
            [], label="Search history", visible=False, elem_classes="trail", elem_id="trail", type="index"
        )
        self.heading = gr.HTML(elem_id="heading")
        self.detail = Detail(("Search with this photo", "More like this", "Less like this", "Close"), "detail")
        self.hits = photos("Hits", visible=False, elem_id="hits")
        self.more = gr.Button("More", visible=False, elem_id="more")

    @property
    def settings(self) -> list[Any]:
        """Inputs of all search handlers, after the session."""
        return self.filters.inputs

    def _connect_events(self) -> None:
        def on(events: Any, handler: Any, *inputs: Any, scroll: bool = True) -> None:
            search_event = gr.on(
                events, show_errors(handler), [self.session, *inputs, *self.settings], self.outputs,
                api_visibility="private", show_progress_on=self.hits, trigger_mode="always_last",
                concurrency_id="search", concurrency_limit=SEARCHES_AT_ONCE,
            )  # fmt: skip
            self.update_thumbnails_after(search_event)
            if scroll:
                search_event.then(None, js=_SCROLL_TO_HITS)

        on(self.photo.input, self._search_with_upload, self.photo, self.role)
        on(self.examples.select, self._search_with_example)
        on(self.query_photos.select, self._remove_query_photo)
        on(self.steps.input, self._go_to_step, self.steps)
        on(self.more.click, self._load_more, scroll=False)
        new_search, more, less, close = self.detail.buttons
        on(new_search.click, self._search_with_chosen(None))
        on(more.click, self._search_with_chosen("like"))
        on(less.click, self._search_with_chosen("unlike"))
        # One event for all filters. Otherwise two quick changes run at once, and the older one may finish last.
        on(self.filters.changes, self._apply_filters, scroll=False)
        self.hits.select(
            show_errors(self._select_hit),
            [self.session],
            [self.session, *self.detail.outputs],
            api_visibility="private",
        ).then(None, js=_SCROLL_TO_DETAIL)
        close.click(
            lambda session: [replace(session, chosen=None), gr.Gallery(selected_index=None), *self.detail.hide()],
            [self.session],
            [self.session, self.hits, *self.detail.outputs],
            api_visibility="private",
        )

    def update_thumbnails_after(self, search_event: Any) -> Any:
        """After a search event, replace placeholders when the missing thumbnails are ready."""
        return search_event.then(
            self._update_thumbnails, [self.session], [self.hits], api_visibility="private", show_progress="hidden",
            concurrency_limit=8,
        )  # fmt: skip

    def _update_thumbnails(self, session: Session) -> Any:
        hits = self._searcher.wait_for_thumbnails(session.hits)
        if tuple(hits) == session.hits or session.displayed.hits is not session.hits:
            return gr.skip()
        return gr.Gallery(_hit_items(hits))

    def load(self, session: Session) -> list[Any]:
        """Return the initial or refreshed contents of the tab as values for `loads`."""
        examples, folders = tuple(self._searcher.examples(EXAMPLES)), self.filters.folders()
        return [
            replace(session, examples=examples, folders=folders),
            gr.Gallery(gallery_items([(each.thumbnail, each.name) for each in examples]), visible=bool(examples)),
            self.filters.dropdown(folders, chosen=bool(session.examples)),
            gr.skip() if session.trail.steps else markup.note(*self._invitation(bool(examples))),
        ]

    @property
    def loads(self) -> list[Any]:
        """Components that `load` returns values for."""
        return [self.session, self.examples, self.filters.folder, self.heading]

    def _invitation(self, has_photos: bool) -> list[str]:
        if has_photos:
            return ["Drop a photo or choose an example to find similar photos."]
        if self._services.indexing is not None and self._services.indexing.progress.is_active:
            return ["Photos are being indexed. Reopen this tab in a moment to search the indexed photos."]
        return ["This library has no photos yet. Index a folder in the “Index” tab. You can search during indexing."]

    def _search_with_upload(self, session: Session, path: str | None, role: str, *settings: Any) -> list[Any]:
        if path is None:
            return [gr.skip()] * len(self.outputs)
        return self.search_with(session, self._searcher.query_from_file(path), _ROLES.get(role), *settings)

    def search_with(self, session: Session, query: QueryPhoto, sign: Sign | None, *settings: Any) -> list[Any]:
        """Search with one more photo. Without a sign or an earlier search, the photo starts a new search."""
        step = session.trail.step
        step = Step((query,)) if sign is None or step is None else step.with_photo(query, sign)
        return self._search(session, session.trail.append(step), *settings)

    def _search_with_example(self, session: Session, event: gr.SelectData, *settings: Any) -> list[Any]:
        query = self._searcher.query_from_id(session.examples[event.index].id)
        return self.search_with(session, query, None, *settings)

    def _search_with_chosen(self, sign: Sign | None) -> Any:
        def handler(session: Session, *settings: Any) -> list[Any]:
            if session.chosen is None:
                raise gr.Error("No hit is selected. Click a hit first.", print_exception=False)
            return self.search_with(session, self._searcher.query_from_id(session.chosen.id), sign, *settings)

        return handler

    def _remove_query_photo(self, session: Session, event: gr.SelectData, *settings: Any) -> list[Any]:
        step = session.trail.step and session.trail.step.without_photo(event.index)
        if step is None:
            raise gr.Error(
                "A search needs at least one similar photo. Start a new search instead.", print_exception=False
            )
        return self._search(session, session.trail.append(step), *settings)

    def _go_to_step(self, session: Session, position: int | None, *settings: Any) -> list[Any]:
        return self._search(session, session.trail.go_to(-1 if position is None else position), *settings)

    def _apply_filters(self, session: Session, *settings: Any) -> list[Any]:
        """Search again if a filter has changed. Leaving a text field without a change triggers no search."""
        if settings == session.settings:
            return [gr.skip()] * len(self.outputs)
        return self._search(session, session.trail, *settings)

    def _search(self, session: Session, trail: Trail, *settings: Any) -> list[Any]:
        """Show the first page of hits of the current step of a search history."""
        step, options = trail.step, self.filters.options(session.folders, *settings)
        if step is None:
            return [gr.skip()] * len(self.outputs)
        hits = self._searcher.search(step, options)
        session = replace(session, trail=trail, hits=tuple(hits), chosen=None, settings=settings)
        return self._render(session, self.detail.hide(), has_more=len(hits) == options.k)

    def _load_more(self, session: Session, *settings: Any) -> list[Any]:
        step, options = session.trail.step, self.filters.options(session.folders, *settings)
        if step is None:
            return [gr.skip()] * len(self.outputs)
        more = self._searcher.search(step, options, offset=len(session.hits))
        session = replace(session, hits=(*session.hits, *more))
        return self._render(session, [gr.skip()] * len(self.detail.outputs), has_more=len(more) == options.k)

    def _select_hit(self, session: Session, event: gr.SelectData) -> list[Any]:
        hit = session.hits[event.index]
        return [
            replace(session, chosen=hit.photo),
            *self.detail.show(self._searcher, hit.photo, ", ".join(hit.similarity)),
        ]

    def _render(self, session: Session, detail: list[Any], *, has_more: bool) -> list[Any]:
        step = session.trail.step
        assert step is not None
        names = [f"{number}  {_shorten(each.name)}" for number, each in enumerate(session.trail.steps, start=1)]
        signs = {"like": "like", "unlike": "not like"}
        query_photos = gallery_items([(each.thumbnail, f"{signs[sign]} {each.name}") for sign, each in step.photos])
        hits = _hit_items(session.hits)
        session.displayed.hits = session.hits
        return [
            session,
            gr.Radio(names, value=names[session.trail.position], visible=len(names) > 1),
            gr.Gallery(query_photos, visible=True, selected_index=None),
            markup.note(*_heading(session)),
            *detail,
            # deselected so that a second click at the same position triggers an event
            gr.Gallery(hits, visible=bool(hits), selected_index=None),
            gr.Button(visible=has_more),
            gr.Gallery(selected_index=None),  # likewise
        ]


def _hit_items(hits: Sequence[PageHit]) -> list[tuple[str, str]]:
    return gallery_items([(each.photo.thumbnail, each.caption) for each in hits])


def _heading(session: Session) -> list[str]:
    step = session.trail.step
    assert step is not None
    if not session.hits:
        return ["No photo matches the filters. Lower the minimum percentile or remove a filter."]
    count = markup.count_text(len(session.hits), "photo")
    query = printable(step.name) if len(step.photos) == 1 else "the query photos"
    return [f"{count}, sorted by similarity to {query}. Click a photo to enlarge it."]


def _shorten(name: str) -> str:
    return name if len(name) <= _MAX_NAME_LENGTH else f"{name[: _MAX_NAME_LENGTH - 9]}…{name[-8:]}"
