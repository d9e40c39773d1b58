"""Index tab: indexing of a folder in the background."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import gradio as gr

from demo import markup
from demo.tabs.parts import show_errors

if TYPE_CHECKING:
    from demo.indexing import Indexing, Progress
    from demo.searcher import Searcher

_TICK_S = 1.0
_FAILURES_SHOWN = 200


class IndexTab:
    """Components and handlers of the tab.

    Args:
        indexing: Background indexing of the library.
        searcher: Searcher of the library.
        folder: Initial value of the folder field.
    """

    def __init__(self, indexing: Indexing, searcher: Searcher, folder: str = "") -> None:
        self._indexing, self._searcher = indexing, searcher
        gr.Markdown(
            "Indexing stores a vector of each photo in the library. The photos are not moved or changed. A stopped run "
            "can be resumed, and unchanged photos are not read again."
        )
        with gr.Row(elem_classes="bottom"):
            self.folder = gr.Textbox(
                value=folder, label="Folder of photos on this machine", placeholder="~/Pictures", scale=4,
                min_width=200, elem_id="folder",
            )  # fmt: skip
            self.start = gr.Button("Start", variant="primary", min_width=100)
            self.stop = gr.Button("Stop", interactive=False, min_width=100)
        self.status = gr.HTML(elem_id="indexing")
        self.failures = gr.HTML(elem_id="failures")
        self.timer = gr.Timer(_TICK_S, active=False)
        self.outputs = [self.timer, self.start, self.stop, self.status, self.failures]
        for event in (self.start.click, self.folder.submit):
            event(show_errors(self._start), [self.folder], self.outputs, api_visibility="private")
        self.stop.click(self._stop, None, self.outputs, api_visibility="private")
        self.timer.tick(
            self.refresh, None, self.outputs, api_visibility="private", show_progress="hidden", concurrency_limit=4
        )

    def refresh(self) -> list[Any]:
        """Return the current state as values for `outputs`."""
        progress = self._indexing.progress
        return [
            gr.Timer(active=progress.is_active),
            gr.Button("Resume" if progress.phase == "stopped" else "Start", interactive=not progress.is_active),
            gr.Button(interactive=progress.phase in ("looking", "running")),
            _bar(progress) + markup.note(*self._lines(progress)),
            self._failure_table(),
        ]

    def _start(self, folder: str) -> list[Any]:
        self._indexing.start(folder)
        return self.refresh()

    def _stop(self) -> list[Any]:
        self._indexing.stop()
        return self.refresh()

    def _lines(self, progress: Progress) -> list[str]:
        status = self._searcher.status()
        lines = [_progress_text(progress), f"The library has {markup.count_text(status.photos, 'photo')}."]
        if status.missing:
            missing = markup.count_text(status.missing, "photo")
            lines.append(f"Missing from disk: {missing}. Remove them from the library with `mvmr-zoo index prune`.")
        return [line for line in lines if line]

    def _failure_table(self) -> str:
        failures = self._searcher.status().failures
        if not failures:
            return ""
        rows = [(os.fsdecode(each.path), each.reason) for each in failures[:_FAILURES_SHOWN]]
        more = f" (first {len(rows)} shown)" if len(failures) > len(rows) else ""
        caption = f"{markup.count_text(len(failures), 'unreadable photo')}{more}"
        return markup.table(("Photo", "Reason"), rows, caption=caption)


def _bar(progress: Progress) -> str:
    if not progress.is_active or not progress.total:
        return ""
    share = f"{progress.done:,} of {markup.count_text(progress.total, 'photo')}"
    return (
        f'<progress value="{progress.done}" max="{progress.total}" style="width: 100%" '
        f'aria-label="Indexed photos">{share}</progress>'
    )


def _progress_text(progress: Progress) -> str:
    done = f"{progress.done:,} of {markup.count_text(progress.total, 'photo')}"
    match progress.phase:
        case "idle":
            return ""
        case "looking":
            return f"Scanning {progress.folder} …"
        case "running":
            rate = f", {progress.per_s:.0f} per second" if progress.per_s >= 1 else ""
            left = "" if progress.left_s is None else f", about {duration(progress.left_s)} left"
            return f"Indexed {done} in {progress.folder}{rate}{left}. Indexed photos can already be searched."
        case "stopping":
            return "Stopping after the current batch …"
        case "stopped":
            return f"Stopped after {done} in {progress.folder}. Select “Resume” to index the rest."
        case "failed":
            return f"Indexing failed: {progress.error}"
        case "done":
            report = progress.report
            assert report is not None
            return (
                f"{progress.folder}: {markup.count_text(report.found, 'photo')} found, {report.added:,} indexed, "
                f"{report.unchanged:,} unchanged, {report.recognized:,} recognized by content, "
                f"{len(report.failures):,} failed."
            )


def duration(seconds: float) -> str:
    """Format a number of seconds, for example `5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"
