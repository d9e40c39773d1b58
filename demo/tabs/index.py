"""Taking in a folder of photos while everybody goes on searching."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import gradio as gr

from demo import markup
from demo.tabs.parts import explained

if TYPE_CHECKING:
    from demo.indexing import Indexing, Progress
    from demo.search import Searcher

_TICK_S = 1.0
_FAILURES_SHOWN = 200


class IndexTab:
    """Its components, and what they do.

    Args:
        indexing: the run there may be.
        searcher: of the library.
        folder: to propose.
    """

    def __init__(self, indexing: Indexing, searcher: Searcher, folder: str = "") -> None:
        self._indexing, self._searcher = indexing, searcher
        gr.Markdown(
            "Photos stay where they are; the library remembers a vector of each. A run that is stopped goes on when it "
            "is started again, and what did not change is not read again."
        )
        with gr.Row(elem_classes="bottom"):
            self.folder = gr.Textbox(
                value=folder, label="Folder of photos on this machine", placeholder="~/Pictures", scale=4,
                min_width=200, elem_id="folder",
            )  # fmt: skip
            self.start = gr.Button("Start", variant="primary", min_width=100)
            self.stop = gr.Button("Stop", interactive=False, min_width=100)
        self.state = gr.HTML(elem_id="indexing")
        self.failures = gr.HTML(elem_id="failures")
        self.timer = gr.Timer(_TICK_S, active=False)
        self.outputs = [self.timer, self.start, self.stop, self.state, self.failures]
        for event in (self.start.click, self.folder.submit):
            event(explained(self._begin), [self.folder], self.outputs, api_visibility="private")
        self.stop.click(self._end, None, self.outputs, api_visibility="private")
        self.timer.tick(
            self.look, None, self.outputs, api_visibility="private", show_progress="hidden", concurrency_limit=4
        )

    def look(self) -> list[Any]:
        """How it stands: values for `outputs`."""
        progress = self._indexing.progress
        return [
            gr.Timer(active=progress.is_active),
            gr.Button("Go on" if progress.phase == "stopped" else "Start", interactive=not progress.is_active),
            gr.Button(interactive=progress.phase in ("looking", "running")),
            _bar(progress) + markup.note(*self._lines(progress)),
            self._failure_table(),
        ]

    def _begin(self, folder: str) -> list[Any]:
        self._indexing.start(folder)
        return self.look()

    def _end(self) -> list[Any]:
        self._indexing.stop()
        return self.look()

    def _lines(self, progress: Progress) -> list[str]:
        status = self._searcher.status()
        lines = [_sentence(progress), f"The library holds {markup.counted(status.photos, 'photo')}."]
        if status.missing:
            lines.append(f"{status.missing:,} more are not where they were; `mvmr-zoo index prune` forgets them.")
        return [line for line in lines if line]

    def _failure_table(self) -> str:
        failures = self._searcher.status().failures
        if not failures:
            return ""
        rows = [(os.fsdecode(each.path), each.reason) for each in failures[:_FAILURES_SHOWN]]
        more = f", the first {len(rows)} of them" if len(failures) > len(rows) else ""
        return markup.table(
            ("photo", "why"), rows, caption=f"{markup.counted(len(failures), 'photo')} that could not be read{more}"
        )


def _bar(progress: Progress) -> str:
    if not progress.is_active or not progress.total:
        return ""
    share = f"{progress.done} of {progress.total} photos"
    return (
        f'<progress value="{progress.done}" max="{progress.total}" style="width: 100%" '
        f'aria-label="Photos taken in">{share}</progress>'
    )


def _sentence(progress: Progress) -> str:
    done = f"{progress.done:,} of {progress.total:,} photos"
    match progress.phase:
        case "idle":
            return ""
        case "looking":
            return f"Looking for photos in {progress.folder} …"
        case "running":
            rate = f", {progress.per_s:.0f} a second" if progress.per_s >= 1 else ""
            left = "" if progress.left_s is None else f", about {duration(progress.left_s)} left"
            return f"{done} of {progress.folder}{rate}{left}. Those that are done can be searched."
        case "stopping":
            return "Stopping after the photos at hand …"
        case "stopped":
            return f"Stopped after {done} of {progress.folder}. “Go on” takes in the rest."
        case "failed":
            return f"It ended early: {progress.error}"
        case "done":
            report = progress.report
            assert report is not None
            return (
                f"{progress.folder}: {report.found:,} photos found, {report.added:,} taken in, {report.unchanged:,} "
                f"unchanged, {report.recognized:,} known by content, {len(report.failures):,} failed."
            )


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"
