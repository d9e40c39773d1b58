"""Search options and filters."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import gradio as gr

from demo.searcher import MAX_HITS, PAGE_SIZE, Options
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.search import Filters

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from demo.searcher import Searcher

_ALL_FOLDERS = "All folders"
_MAX_FOLDERS = 300


class FilterBox:
    """Components for the search options.

    Args:
        searcher: Searcher of the library.
        folder: Preselected folder; None selects all folders.
    """

    def __init__(self, searcher: Searcher, folder: Path | None) -> None:
        self._searcher, self._first = searcher, folder
        self._k = gr.Slider(1, MAX_HITS, value=PAGE_SIZE, step=1, label="Hits per page")
        self._percentile = gr.Slider(
            0, 100, value=0, step=0.5, label="Minimum percentile",
            info="Only hits that are more similar than this percentage of random pairs",
        )  # fmt: skip
        self.folder = gr.Dropdown([_ALL_FOLDERS], value=_ALL_FOLDERS, label="Folder")
        with gr.Row():
            self._from = gr.Textbox(label="Taken from", placeholder="2024, 2024-05 or 2024-05-31", min_width=120)
            self._to = gr.Textbox(label="Taken to", placeholder="same formats", min_width=120)
        self._hide = gr.Checkbox(value=True, label="Hide the query photos")
        self._group = gr.Checkbox(value=False, label="Group near duplicates")
        self.inputs: list[Any] = [
            self._k, self._percentile, self.folder, self._from, self._to, self._hide, self._group,
        ]  # fmt: skip

    @property
    def changes(self) -> list[Any]:
        """Events that can change a value."""
        return [
            *(slider.release for slider in (self._k, self._percentile)),
            *(choice.input for choice in (self.folder, self._hide, self._group)),
            *(event for date in (self._from, self._to) for event in (date.submit, date.blur)),
        ]

    def folders(self) -> dict[str, Path]:
        """Return the folders to choose from, by display name."""
        folders = dict(itertools.islice(self._searcher.folders().items(), _MAX_FOLDERS))
        return folders if self._first is None else folders | {str(self._first): self._first}

    def dropdown(self, folders: Iterable[str], *, chosen: bool) -> gr.Dropdown:
        """Return the dropdown with the names of folders.

        Args:
            folders: Names of the folders.
            chosen: Keep the current selection. Otherwise the preselected folder is selected.
        """
        choices = [_ALL_FOLDERS, *folders]
        return gr.Dropdown(choices) if chosen else gr.Dropdown(choices, value=str(self._first or _ALL_FOLDERS))

    def options(
        self,
        folders: Mapping[str, Path],
        k: float,
        percentile: float,
        folder: str,
        taken_from: str,
        taken_to: str,
        hide: bool,
        group: bool,
    ) -> Options:
        """Convert the values of `inputs` to options.

        Args:
            folders: Folders of the dropdown by name.
            k: Hits per page.
            percentile: Minimum percentile; 0 means no minimum.
            folder: Name of a folder.
            taken_from: First date.
            taken_to: Last date.
            hide: Hide the query photos.
            group: Group near duplicates.

        Raises:
            ConfigError: A date is invalid, or the folder has no photos in the library.
        """
        if folder not in (None, _ALL_FOLDERS) and folder not in folders:
            raise ConfigError(f"The library has no photos in {folder}. Choose another folder.")
        filters = Filters(
            folder=folders.get(folder),
            taken_from=(taken_from or "").strip() or None,
            taken_to=(taken_to or "").strip() or None,
            min_percentile=percentile or None,
        )
        return Options(k=int(k), filters=filters, hide_query=hide, group=group)
