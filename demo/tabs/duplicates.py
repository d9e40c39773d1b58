"""Copies of the same photo side by side, and their list to take away. Nothing is ever deleted."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from demo import markup
from demo.search import Searcher, Shown, human_size
from demo.tabs.parts import explained
from mvmr_zoo import PhotoLibrary

if TYPE_CHECKING:
    from mvmr_zoo.search import Group

_GROUPS_SHOWN = 50


class DuplicatesTab:
    """Its components, and what they do.

    Args:
        searcher: of the library.
        uploads: folder for the list.
    """

    def __init__(self, searcher: Searcher, uploads: Path) -> None:
        self._searcher, self._uploads = searcher, uploads
        gr.Markdown("Copies of the same photo: equal files, smaller ones, brighter ones. Nothing is ever deleted here.")
        with gr.Row():
            near = gr.Checkbox(value=True, label="Near duplicates too, not only equal files", min_width=200)
            look = gr.Button("Look for duplicates", variant="primary", min_width=160)
        self.answer = gr.HTML(elem_id="duplicates")
        self.list = gr.DownloadButton("Download the list (CSV)", visible=False, elem_id="list")
        look.click(
            explained(self._look), [near], [self.answer, self.list], api_visibility="private",
            show_progress_on=self.answer, concurrency_limit=1,
        )  # fmt: skip

    def _look(self, near: bool, progress: gr.Progress = gr.Progress()) -> list[Any]:  # noqa: B008  (how Gradio asks for it)
        # a library of this thread's own: searches go on meanwhile
        with PhotoLibrary(self._searcher.folder, create=False) as library:
            groups = library.duplicates(
                near=near, progress=lambda done, total: progress((done, total), desc="comparing", unit="photos")
            )
        if not groups:
            return [markup.note("No photo of this library has a copy in it."), gr.DownloadButton(visible=False)]
        shown = {each.id: each for each in self._searcher.show(_ids(groups[:_GROUPS_SHOWN]))}
        bytes_in_copies = sum(copy.size for group in groups for copy in group.copies)
        copies = sum(len(group.copies) for group in groups)
        lines = [
            f"{copies:,} {'copy' if copies == 1 else 'copies'} of {markup.counted(len(groups), 'photo')}, "
            f"{human_size(bytes_in_copies)} in all."
        ]
        if len(groups) > _GROUPS_SHOWN:
            lines.append(f"The {_GROUPS_SHOWN} groups with most bytes are shown; the list has all.")
        page = markup.note(*lines) + "".join(_side_by_side(group, shown) for group in groups[:_GROUPS_SHOWN])
        return [page, gr.DownloadButton(value=str(self._write(groups)), visible=True)]

    def _write(self, groups: list[Group]) -> Path:
        """The list of all groups as CSV, a line a photo."""
        rows = self._searcher.rows(_ids(groups))
        place = {id_: self._searcher.place_of(row) for id_, row in rows.items()}
        folder = Path(tempfile.mkdtemp(dir=self._uploads))
        with (folder / "duplicates.csv").open("w", encoding="utf-8", newline="") as file:
            out = csv.writer(file)
            out.writerow(("group", "kind", "path", "width", "height", "bytes", "cosine", "likeness"))
            for number, group in enumerate(groups, start=1):
                out.writerow((number, "best", place.get(group.id, ""), group.width, group.height, group.size, "", ""))
                for copy in group.copies:
                    alike = (f"{copy.cosine:.4f}", f"{copy.likeness:.4f}")
                    out.writerow(
                        (number, copy.kind, place.get(copy.id, ""), copy.width, copy.height, copy.size, *alike)
                    )
        return folder / "duplicates.csv"


def _ids(groups: list[Group]) -> list[int]:
    return [id_ for group in groups for id_ in (group.id, *(copy.id for copy in group.copies))]


def _side_by_side(group: Group, shown: dict[int, Shown]) -> str:
    kinds = {group.id: "the best"} | {
        copy.id: "equal file" if copy.kind == "exact" else f"near, {copy.likeness:.2f} alike" for copy in group.copies
    }
    figures = "".join(_figure(shown[id_], kind) for id_, kind in kinds.items() if id_ in shown)
    return f'<div class="group" role="group" aria-label="Copies of one photo">{figures}</div>'


def _figure(each: Shown, kind: str) -> str:
    place = f'<span class="place">{markup.text(each.place)}</span>'
    return markup.figure(
        each.thumbnail, each.name, f"<b>{markup.text(kind)}</b><br>{markup.text(each.facts)}<br>{place}"
    )
