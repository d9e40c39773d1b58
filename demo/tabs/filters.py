"""How a search answers: hits a page, and which photos may answer."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from demo.search import MOST_HITS, PAGE, Options
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.search import Filters

if TYPE_CHECKING:
    from demo.search import Searcher

_EVERY_FOLDER = "every folder"
_MOST_FOLDERS = 300


class FilterBox:
    """Components; `values` are their values, in the order of `inputs`.

    Args:
        searcher: of the library.
        folder: to look in at first.
    """

    def __init__(self, searcher: Searcher, folder: Path | None) -> None:
        self._searcher, self._first = searcher, folder
        self._folders: dict[str, Path] = {}
        self._k = gr.Slider(1, MOST_HITS, value=PAGE, step=1, label="Hits a page")
        self._percentile = gr.Slider(
            0, 100, value=0, step=0.5, label="Least percentile",
            info="Of a score among those of this library's photos at random",
        )  # fmt: skip
        self.folder = gr.Dropdown([_EVERY_FOLDER], value=_EVERY_FOLDER, label="Folder")
        with gr.Row():
            self._from = gr.Textbox(label="Taken from", placeholder="2024, 2024-05 or 2024-05-31", min_width=120)
            self._to = gr.Textbox(label="Taken to", placeholder="the same", min_width=120)
        self._hide = gr.Checkbox(value=True, label="Leave out the photos searched with")
        self._group = gr.Checkbox(value=False, label="Put near duplicates behind the best one")
        self.inputs: list[Any] = [
            self._k, self._percentile, self.folder, self._from, self._to, self._hide, self._group,
        ]  # fmt: skip

    @property
    def changes(self) -> list[Any]:
        """Events that may have changed a value."""
        return [
            *(slider.release for slider in (self._k, self._percentile)),
            *(choice.input for choice in (self.folder, self._hide, self._group)),
            *(event for date in (self._from, self._to) for event in (date.submit, date.blur)),
        ]

    def folders(self, *, chosen: bool) -> gr.Dropdown:
        """The folders that there are now.

        Args:
            chosen: somebody may have chosen one already, which stays.
        """
        self._folders = self._searcher.folders()
        if self._first is not None:
            self._folders.setdefault(str(self._first), self._first)
        choices = [_EVERY_FOLDER, *itertools.islice(self._folders, _MOST_FOLDERS)]
        return gr.Dropdown(choices) if chosen else gr.Dropdown(choices, value=str(self._first or _EVERY_FOLDER))

    def options(
        self, k: float, percentile: float, folder: str, taken_from: str, taken_to: str, hide: bool, group: bool
    ) -> Options:
        """What values mean. Raises ConfigError for a date that is none, or a folder that has no photo any more."""
        if folder not in (None, _EVERY_FOLDER) and folder not in self._folders:
            raise ConfigError(f"The library has no photo of {folder}. Choose another folder.")
        filters = Filters(
            folder=self._folders.get(folder),
            taken_from=(taken_from or "").strip() or None,
            taken_to=(taken_to or "").strip() or None,
            min_percentile=percentile or None,
        )
        return Options(k=int(k), filters=filters, hide_query=hide, group=group)
