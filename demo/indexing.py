"""Index a folder in the background, one at a time, with progress. A stopped run resumes when it is started again."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mvmr_zoo import PhotoLibrary
from mvmr_zoo.errors import DataError, MvmrError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mvmr_zoo.search import AddReport

Phase = Literal["idle", "looking", "running", "stopping", "stopped", "done", "failed"]

_RATE_WINDOW_S = 15.0


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Progress of an indexing run.

    Args:
        phase: State of the run; `looking` means that the folder is being scanned.
        folder: Folder that is indexed; empty before the first run.
        done: Number of processed photos.
        total: Number of new photos to process.
        per_s: Photos per second during the last 15 seconds; 0 if unknown.
        report: Report of a completed run.
        error: Error message of a failed run.
    """

    phase: Phase = "idle"
    folder: str = ""
    done: int = 0
    total: int = 0
    per_s: float = 0.0
    report: AddReport | None = field(default=None, repr=False)
    error: str = ""

    @property
    def is_active(self) -> bool:
        """Whether the run is in progress."""
        return self.phase in ("looking", "running", "stopping")

    @property
    def left_s(self) -> float | None:
        """Estimated remaining time in seconds; None if unknown."""
        return (self.total - self.done) / self.per_s if self.per_s else None


class _Stopped(Exception):
    """A stop was requested."""


class Indexing:
    """Runs indexing in a background thread, one run at a time.

    Args:
        library: Library folder.
        model: Model spec; None uses the model of the library.
        finished: Callback that is called after each run.
    """

    def __init__(self, library: Path, model: str | None, finished: Callable[[], None] = lambda: None) -> None:
        self._library, self._model, self._finished = library, model, finished
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._progress = Progress()
        self._thread: threading.Thread | None = None
        self._recent = deque[tuple[float, int]]()

    @property
    def progress(self) -> Progress:
        """Current progress."""
        return self._progress

    def start(self, folder: str) -> None:
        """Start a run, or resume a stopped one.

        Raises:
            DataError: The folder does not exist, or another run is in progress.
        """
        name = os.path.expanduser(folder.strip())
        if not name:
            raise DataError("No folder was given. Enter the folder of your photos, for example ~/Pictures.")
        if not os.path.isdir(name):
            raise DataError(
                f"{name} is not a folder on this machine. Enter the folder of your photos, for example ~/Pictures."
            )
        with self._lock:
            if self._progress.is_active:
                raise DataError(f"{self._progress.folder} is still being indexed. Stop that run, or wait.")
            self._stop.clear()
            self._recent.clear()
            self._progress = Progress(phase="looking", folder=str(Path(name).absolute()))
        self._thread = threading.Thread(target=self._run, name="indexing", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current batch. Indexed photos remain in the library."""
        with self._lock:
            if self._progress.is_active:
                self._stop.set()
                self._progress = replace(self._progress, phase="stopping")

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until the run ends."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        folder = self._progress.folder
        try:
            with PhotoLibrary(self._library, model=self._model) as library:
                report = library.add([folder], progress=self._update)
            end = replace(self._progress, phase="done", report=report)
        except _Stopped:
            end = replace(self._progress, phase="stopped")
        except (MvmrError, OSError) as error:
            end = replace(self._progress, phase="failed", error=str(error))
        except BaseException as error:
            end = replace(self._progress, phase="failed", error=f"{type(error).__name__}: {error}")
            raise
        finally:
            try:
                self._finished()
            finally:
                self._progress = end

    def _update(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise _Stopped
        now = time.monotonic()
        self._recent.append((now, done))
        while now - self._recent[0][0] > _RATE_WINDOW_S:
            self._recent.popleft()
        start, done_at_start = self._recent[0]
        rate = (done - done_at_start) / (now - start) if now > start and done > done_at_start else 0.0
        with self._lock:
            phase: Phase = "stopping" if self._stop.is_set() else "running"
            self._progress = replace(self._progress, phase=phase, done=done, total=total, per_s=rate)
