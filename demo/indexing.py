"""Taking in a folder while people search: one at a time, with progress; a stopped one goes on when started again."""

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

_RATE_OVER_S = 15.0


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far it is.

    Args:
        phase: what goes on; `looking` is before the first photo.
        folder: that is taken in; empty where none ever was.
        done: photos done.
        total: photos to do that were not known.
        per_s: photos a second, lately; 0 where not known.
        report: once it is done.
        error: why it failed.
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
        """Whether photos are still coming."""
        return self.phase in ("looking", "running", "stopping")

    @property
    def left_s(self) -> float | None:
        """Seconds left, where that is known."""
        return (self.total - self.done) / self.per_s if self.per_s else None


class _Stopped(Exception):
    """Somebody asked to stop."""


class Indexing:
    """The one run that there may be at a time.

    Args:
        library: folder of the library.
        model: spec of its encoder.
        finished: called after every run.
    """

    def __init__(self, library: Path, model: str | None, finished: Callable[[], None] = lambda: None) -> None:
        self._library, self._model, self._finished = library, model, finished
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._progress = Progress()
        self._thread: threading.Thread | None = None
        self._lately = deque[tuple[float, int]]()

    @property
    def progress(self) -> Progress:
        """How far it is, now."""
        return self._progress

    def start(self, folder: str) -> None:
        """Begin, or go on where it was stopped.

        Raises:
            DataError: there is no such folder, or another one is being taken in.
        """
        name = os.path.expanduser(folder.strip())
        if not name:
            raise DataError("No folder is named. Give the folder of your photos, as ~/Pictures.")
        if not os.path.isdir(name):
            raise DataError(f"{name} is not a folder on this machine. Give the folder of your photos, as ~/Pictures.")
        with self._lock:
            if self._progress.is_active:
                raise DataError(f"{self._progress.folder} is still being taken in. Stop it first, or wait.")
            self._stop.clear()
            self._lately.clear()
            self._progress = Progress(phase="looking", folder=str(Path(name).absolute()))
        self._thread = threading.Thread(target=self._run, name="indexing", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the photos at hand; what is done is kept."""
        with self._lock:
            if self._progress.is_active:
                self._stop.set()
                self._progress = replace(self._progress, phase="stopping")

    def wait(self, timeout_s: float | None = None) -> None:
        """Until nothing goes on."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        folder = self._progress.folder
        try:
            with PhotoLibrary(self._library, model=self._model) as library:
                report = library.add([folder], progress=self._tell)
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

    def _tell(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise _Stopped
        now = time.monotonic()
        self._lately.append((now, done))
        while now - self._lately[0][0] > _RATE_OVER_S:
            self._lately.popleft()
        began, before = self._lately[0]
        rate = (done - before) / (now - began) if now > began and done > before else 0.0
        with self._lock:
            phase: Phase = "stopping" if self._stop.is_set() else "running"
            self._progress = replace(self._progress, phase=phase, done=done, total=total, per_s=rate)
