"""Duplicates tab: copies of the same photo, and a list of them to download. Never deletes photos."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from demo import markup
from demo.hits import PhotoDetails, human_size
from demo.searcher import Searcher
from demo.tabs.parts import show_errors
from mvmr_zoo import PhotoLibrary

if TYPE_CHECKING:
    from mvmr_zoo.search import Group

_GROUPS_SHOWN = 50


class DuplicatesTab:
    """Components and handlers of the tab.

    Args:
        searcher: Searcher of the library.
        uploads: Folder for the list.
    """

    def __init__(self, searcher: Searcher, uploads: Path) -> None:
        self._searcher, self._uploads = searcher, uploads
        gr.Markdown(
            "Finds copies of the same photo: identical files, and near duplicates such as smaller or brighter copies. "
            "No photo is deleted."
        )
        with gr.Row():
            near = gr.Checkbox(value=True, label="Include near duplicates", min_width=200)
            find = gr.Button("Find duplicates", variant="primary", min_width=160)
        self.results = gr.HTML(elem_id="duplicates")
        self.list = gr.DownloadButton("Download list (CSV)", visible=False, elem_id="list")
        find.click(
            show_errors(self._find), [near], [self.results, self.list], api_visibility="private",
            show_progress_on=self.results, concurrency_limit=1,
        )  # fmt: skip

    def _find(self, near: bool, progress: gr.Progress = gr.Progress()) -> list[Any]:  # noqa: B008  (required by Gradio)
        # opens the library a second time so that searches are not blocked
        with PhotoLibrary(self._searcher.folder, create=False) as library:
            groups = library.duplicates(
                near=near, progress=lambda done, total: progress((done, total), desc="Comparing", unit="photos")
            )
        if not groups:
            return [markup.note("No duplicates found."), gr.DownloadButton(visible=False)]
        details = {each.id: each for each in self._searcher.details(_ids(groups[:_GROUPS_SHOWN]))}
        bytes_in_copies = sum(copy.size for group in groups for copy in group.copies)
        copies = sum(len(group.copies) for group in groups)
        lines = [
            f"Found {copies:,} {'copy' if copies == 1 else 'copies'} of {markup.count_text(len(groups), 'photo')}, "
            f"{human_size(bytes_in_copies)} in total."
        ]
        if len(groups) > _GROUPS_SHOWN:
            lines.append(f"Only the {_GROUPS_SHOWN} largest groups are shown. Download the list to see all.")
        page = markup.note(*lines) + "".join(_group_html(group, details) for group in groups[:_GROUPS_SHOWN])
        return [page, gr.DownloadButton(value=str(self._write_csv(groups)), visible=True)]

    def _write_csv(self, groups: list[Group]) -> Path:
        """Write a CSV file with one row per photo of all groups."""
        rows = self._searcher.rows(_ids(groups))
        paths = {id_: self._searcher.display_path(row) for id_, row in rows.items()}
        folder = Path(tempfile.mkdtemp(dir=self._uploads))
        with (folder / "duplicates.csv").open("w", encoding="utf-8", newline="") as file:
            out = csv.writer(file)
            out.writerow(("group", "kind", "path", "width", "height", "bytes", "cosine", "correlation"))
            for number, group in enumerate(groups, start=1):
                out.writerow((number, "best", paths.get(group.id, ""), group.width, group.height, group.size, "", ""))
                for copy in group.copies:
                    scores = (f"{copy.cosine:.4f}", f"{copy.correlation:.4f}")
                    out.writerow(
                        (number, copy.kind, paths.get(copy.id, ""), copy.width, copy.height, copy.size, *scores)
                    )
        return folder / "duplicates.csv"


def _ids(groups: list[Group]) -> list[int]:
    return [id_ for group in groups for id_ in (group.id, *(copy.id for copy in group.copies))]


def _group_html(group: Group, details: dict[int, PhotoDetails]) -> str:
    kinds = {group.id: "Best copy"} | {
        copy.id: "Identical file" if copy.kind == "exact" else f"Near duplicate, correlation {copy.correlation:.2f}"
        for copy in group.copies
    }
    figures = "".join(_figure(details[id_], kind) for id_, kind in kinds.items() if id_ in details)
    return f'<div class="group" role="group" aria-label="Copies of one photo">{figures}</div>'


def _figure(photo: PhotoDetails, kind: str) -> str:
    path = f'<span class="place">{markup.text(photo.place)}</span>'
    return markup.figure(
        photo.thumbnail, photo.name, f"<b>{markup.text(kind)}</b><br>{markup.text(photo.facts)}<br>{path}"
    )
