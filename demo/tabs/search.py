"""The search: a photo goes in, hits come out, a hit is searched with in its turn; a trail leads back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from demo import markup
from demo.search import Found, Shown
from demo.tabs.detail import Detail
from demo.tabs.filters import FilterBox
from demo.tabs.parts import captioned, explained, photo_input, photos
from demo.trail import Asked, Sign, Step, Trail
from mvmr_zoo.errors import printable

if TYPE_CHECKING:
    from demo.services import Services

EXAMPLES = 8

_ROLES = {"the search": None, "more like it": "like", "less like it": "unlike"}
_NAME_LENGTH = 28

_TO_DETAIL = "() => document.getElementById('detail')?.scrollIntoView({block: 'start'})"
_TO_HITS = """() => {
  const top = document.getElementById('trail') ?? document.getElementById('heading')
  if (top && (innerWidth < 700 || top.getBoundingClientRect().top < 0)) top.scrollIntoView({block: 'start'})
}"""
"""On a narrow page the hits stand below the query; on any, one may have gone down to an earlier hit."""


class Now:
    """The hits that one person sees at this moment, whatever an earlier handler still works on."""

    hits: tuple[Found, ...] = ()


@dataclass(frozen=True)
class Session:
    """What one person sees.

    Args:
        trail: steps of the search.
        hits: on the page.
        chosen: the one that is shown larger.
        examples: photos to begin with.
        settings: of the filters, when the hits were found.
        now: the same object in every session of this person.
    """

    trail: Trail = field(default_factory=Trail)
    hits: tuple[Found, ...] = ()
    chosen: Shown | None = None
    examples: tuple[Shown, ...] = ()
    settings: tuple[Any, ...] = ()
    now: Now = field(default_factory=Now, compare=False)


class SearchTab:
    """Its components, and what they do."""

    def __init__(self, services: Services) -> None:
        self._services, self._searcher = services, services.searcher
        self.session = gr.State(Session(), time_to_live=3_600)
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                self._make_query()
            with gr.Column(scale=3, min_width=300):
                self._make_answer()
        self.outputs = [
            self.session,
            self.steps,
            self.asked,
            self.heading,
            *self.detail.outputs,
            self.hits,
            self.more,
            self.examples,
        ]
        self._wire()

    def _make_query(self) -> None:
        self.photo = photo_input(
            label="Photo",
            sources=["upload", "clipboard", "webcam"],
            height=230,
            buttons=[],
            alt_text="The photo you sent",
            placeholder="Drop a photo here\nor click to choose one; below: paste, camera",
            elem_id="photo",
        )
        self.role = gr.Radio(list(_ROLES), value="the search", label="A new photo is", elem_classes="compact")
        self.asked = photos("Searching with; click one to take it out", small=True, visible=False, elem_id="asked")
        self.examples = photos("Or begin with one of these", small=True, elem_id="examples")
        with gr.Accordion("Filters", open=False):
            self.filters = FilterBox(self._searcher, self._services.folder)

    def _make_answer(self) -> None:
        self.steps = gr.Radio([], label="Trail", visible=False, elem_classes="trail", elem_id="trail", type="index")
        self.heading = gr.HTML(elem_id="heading")
        self.detail = Detail(("Search with it", "More like it", "Less like it", "Close"), "detail")
        self.hits = photos("Hits", visible=False, elem_id="hits")
        self.more = gr.Button("More", visible=False, elem_id="more")

    @property
    def settings(self) -> list[Any]:
        """Inputs of every handler that searches, after the session."""
        return self.filters.inputs

    def _wire(self) -> None:
        def on(event: Any, handler: Any, *inputs: Any, shows: bool = True) -> None:
            done = event(
                explained(handler), [self.session, *inputs, *self.settings], self.outputs, api_visibility="private",
                show_progress_on=self.hits, concurrency_id="search", concurrency_limit=8, trigger_mode="always_last",
            )  # fmt: skip
            self.complete(done)
            if shows:
                done.then(None, js=_TO_HITS)

        on(self.photo.input, self._send, self.photo, self.role)
        on(self.examples.select, self._begin_with_example)
        on(self.asked.select, self._take_out)
        on(self.steps.input, self._go_back, self.steps)
        on(self.more.click, self._show_more, shows=False)
        afresh, more, less, close = self.detail.buttons
        on(afresh.click, self._chosen_handler(None))
        on(more.click, self._chosen_handler("like"))
        on(less.click, self._chosen_handler("unlike"))
        for changed in self.filters.changes:
            on(changed, self._again, shows=False)
        self.hits.select(
            explained(self._choose), [self.session], [self.session, *self.detail.outputs], api_visibility="private"
        ).then(None, js=_TO_DETAIL)
        close.click(
            lambda session: [replace(session, chosen=None), gr.Gallery(selected_index=None), *self.detail.hides()],
            [self.session],
            [self.session, self.hits, *self.detail.outputs],
            api_visibility="private",
        )

    def complete(self, searched: Any) -> Any:
        """After an event that searched: show the thumbnails that were not made yet."""
        return searched.then(
            self._completed, [self.session], [self.hits], api_visibility="private", show_progress="hidden",
            concurrency_limit=8,
        )  # fmt: skip

    def _completed(self, session: Session) -> Any:
        hits = self._searcher.complete(session.hits)
        if tuple(hits) == session.hits or session.now.hits is not session.hits:
            return gr.skip()
        return gr.Gallery(_captioned(hits))

    def load(self, session: Session) -> list[Any]:
        """What a page shows when it is opened, and what is new since: values for `loads`."""
        examples = tuple(self._searcher.examples(EXAMPLES))
        return [
            replace(session, examples=examples),
            gr.Gallery(captioned([(each.thumbnail, each.name) for each in examples]), visible=bool(examples)),
            self.filters.folders(chosen=bool(session.examples)),
            gr.skip() if session.trail.steps else markup.note(*self._invitation(bool(examples))),
        ]

    @property
    def loads(self) -> list[Any]:
        """What `load` gives values for."""
        return [self.session, self.examples, self.filters.folder, self.heading]

    def begin(self, session: Session, asked: Asked, *settings: Any) -> list[Any]:
        """A new search with one photo."""
        return self._step(session, Step((asked,)), *settings)

    def _invitation(self, has_photos: bool) -> list[str]:
        if has_photos:
            return ["Drop a photo, or pick one of the examples: the photos most like it are shown here."]
        if self._services.indexing is not None and self._services.indexing.progress.is_active:
            return [
                "Photos are being taken in. Come back to this tab in a moment: those that are done can be searched."
            ]
        return [
            "This library has no photos yet. Name a folder of photos under “Index”; searching works while it is read."
        ]

    def _send(self, session: Session, path: str | None, role: str, *settings: Any) -> list[Any]:
        if path is None:
            return [gr.skip()] * len(self.outputs)
        return self._with(session, self._searcher.ask(path), _ROLES.get(role), *settings)

    def _with(self, session: Session, asked: Asked, sign: Any, *settings: Any) -> list[Any]:
        step = session.trail.step
        if sign is None or step is None:
            return self.begin(session, asked, *settings)
        return self._step(session, step.having(asked, sign), *settings)

    def _begin_with_example(self, session: Session, event: gr.SelectData, *settings: Any) -> list[Any]:
        return self._with(session, self._searcher.ask_id(session.examples[event.index].id), None, *settings)

    def _chosen_handler(self, sign: Sign | None) -> Any:
        def handler(session: Session, *settings: Any) -> list[Any]:
            if session.chosen is None:
                raise gr.Error("Click a hit first.", print_exception=False)
            return self._with(session, self._searcher.ask_id(session.chosen.id), sign, *settings)

        return handler

    def _take_out(self, session: Session, event: gr.SelectData, *settings: Any) -> list[Any]:
        step = session.trail.step and session.trail.step.without(event.index)
        if step is None:
            raise gr.Error("A search needs a photo to be like. Send another one instead.", print_exception=False)
        return self._step(session, step, *settings)

    def _go_back(self, session: Session, at: int | None, *settings: Any) -> list[Any]:
        return self._answer(replace(session, trail=session.trail.back_to(-1 if at is None else at)), *settings)

    def _again(self, session: Session, *settings: Any) -> list[Any]:
        """With other filters; to have looked at one is no change."""
        if settings == session.settings:
            return [gr.skip()] * len(self.outputs)
        return self._answer(session, *settings)

    def _step(self, session: Session, step: Step, *settings: Any) -> list[Any]:
        return self._answer(replace(session, trail=session.trail.going(step)), *settings)

    def _answer(self, session: Session, *settings: Any) -> list[Any]:
        """The first page of hits of where one stands."""
        step, options = session.trail.step, self.filters.options(*settings)
        if step is None:
            return [gr.skip()] * len(self.outputs)
        hits = self._searcher.search(step, options)
        session = replace(session, hits=tuple(hits), chosen=None, settings=settings)
        return self._drawn(session, self.detail.hides(), has_more=len(hits) == options.k)

    def _show_more(self, session: Session, *settings: Any) -> list[Any]:
        step, options = session.trail.step, self.filters.options(*settings)
        if step is None:
            return [gr.skip()] * len(self.outputs)
        further = self._searcher.search(step, options, offset=len(session.hits))
        session = replace(session, hits=(*session.hits, *further))
        return self._drawn(session, [gr.skip()] * len(self.detail.outputs), has_more=len(further) == options.k)

    def _choose(self, session: Session, event: gr.SelectData) -> list[Any]:
        hit = session.hits[event.index]
        percentile = (
            "" if hit.percentile is None else f", above {hit.percentile:.1f} % of this library's photos at random"
        )
        extra = f"score {hit.score:.3f}{percentile}"
        return [replace(session, chosen=hit.photo), *self.detail.shows(self._searcher, hit.photo, extra)]

    def _drawn(self, session: Session, detail: list[Any], *, has_more: bool) -> list[Any]:
        step = session.trail.step
        assert step is not None
        names = [f"{number}  {_short(each.name)}" for number, each in enumerate(session.trail.steps, start=1)]
        signs = {"like": "like", "unlike": "not like"}
        asked = captioned([(each.thumbnail, f"{signs[sign]} {each.name}") for sign, each in step.photos])
        hits = _captioned(session.hits)
        session.now.hits = session.hits
        return [
            session,
            gr.Radio(names, value=names[session.trail.at], visible=len(names) > 1),
            gr.Gallery(asked, visible=True, selected_index=None),
            markup.note(*_heading(session)),
            *detail,
            gr.Gallery(hits, visible=bool(hits), selected_index=None),  # so that a click at the same place counts again
            gr.Button(visible=has_more),
            gr.Gallery(selected_index=None),  # likewise
        ]


def _captioned(hits: Sequence[Found]) -> list[tuple[str, str]]:
    return captioned([(each.photo.thumbnail, each.caption) for each in hits])


def _heading(session: Session) -> list[str]:
    step = session.trail.step
    assert step is not None
    if not session.hits:
        return ["No photo passes the filters. Lower the least percentile, or take a filter away."]
    count = markup.counted(len(session.hits), "photo")
    best = f"those most like {printable(step.name)}" if len(step.photos) == 1 else "those that fit best"
    return [f"{count}, {best} first. Click one to see it larger."]


def _short(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 9]}…{name[-8:]}"
