"""The parent's side of a process that decodes photos."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from mvmr_zoo.errors import MvmrError
from mvmr_zoo.images.decode import MAX_SIDE_PX
from mvmr_zoo.images.decode_worker import LARGE_BYTES, MAX_PROFILE_BYTES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mvmr_zoo.errors import Stage

_WALL_S = 60.0
"""Time that a photo may take in all, which includes reading it from a slow disk."""

_PIPE_BYTES = 1 << 20
"""Large enough for a crop, so that a worker does not wait while it answers."""

_LONGEST_LINE = 65_536

_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
"""Threads and their heaps reserve memory, which counts toward the limit."""

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from mvmr_zoo.images.decode_worker import main; main(int(sys.argv[2]))"
)


class PhotoFacts(NamedTuple):
    """What is known about a photo after reading its file, apart from the pixels.

    Args:
        width: Width in pixels, after EXIF orientation.
        height: Height in pixels, after EXIF orientation.
        taken_at: EXIF date as `YYYY-MM-DD HH:MM:SS`, or None.
        sha256: SHA-256 digest of the file, 32 bytes; empty if it was not asked for.
    """

    width: int
    height: int
    taken_at: str | None
    sha256: bytes


class DecodedPhoto(NamedTuple):
    """A photo from a worker process.

    Args:
        pixels: `(H, W, 3)` uint8, upright RGB.
        facts: Size, date and digest.
        profile: Its color profile; empty if it has none, if it is very large, or if the photo was cropped.
    """

    pixels: NDArray[np.uint8]
    facts: PhotoFacts
    profile: bytes


class Refusal(NamedTuple):
    """Why a photo was not decoded."""

    stage: Stage
    reason: str


class ProcessEndedError(Exception):
    """A decoding process has ended.

    Args:
        reason: Why its photo failed; empty if it was stopped from outside, perhaps while it was idle.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LargePhotoTurn:
    """Lets one large photo be decoded at a time.

    Args:
        wait_s: How long a photo waits for the others, in seconds; None for as long as it takes.
    """

    def __init__(self, wait_s: float | None) -> None:
        self._wait_s = -1 if wait_s is None else wait_s
        self._lock = threading.Lock()

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """Whether it is this photo's turn within `wait_s`."""
        taken = self._lock.acquire(timeout=self._wait_s)
        try:
            yield taken
        finally:
            if taken:
                self._lock.release()


class DecodeProcess:
    """A process that runs `decode_worker.main`.

    Args:
        nice: Added to its niceness.
    """

    def __init__(self, nice: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps([os.fspath(path) for path in sys.path]), str(nice)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_ENVIRONMENT},
            pipesize=_PIPE_BYTES,
            start_new_session=True,  # so that Ctrl-C reaches only this process, which then stops the other
        )
        self._requests = cast("IO[bytes]", self._process.stdin)
        self._answers = cast("IO[bytes]", self._process.stdout)
        self._why_killed = ""

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def decode(self, request: dict[str, Any], content: bytes | None, turn: LargePhotoTurn) -> DecodedPhoto | Refusal:
        """Send a request of `decode_worker`, with the content of the photo if it has one, and return the answer.

        Raises:
            ProcessEndedError: The process exceeded its limits, crashed, or was stopped. It cannot be used again.
        """
        try:
            self._requests.write(json.dumps(request).encode() + b"\n" + (content or b""))
            self._requests.flush()
            answer = self._answer()
            if not answer.get("large"):
                return self._decoded(answer)
            with turn.taken() as is_our_turn:
                if not is_our_turn:
                    self.kill("other large photos are being decoded; try again later")
                self._requests.write(b"\n")
                self._requests.flush()
                return self._decoded(self._answer())
        except (OSError, EOFError, ValueError, KeyError, TypeError):  # it has ended, or answers nonsense
            self.kill()
            raise ProcessEndedError(self._why_ended(request["cpu_s"])) from None
        except BaseException:
            self.kill()
            raise

    def kill(self, why: str = "") -> None:
        """Kill the process.

        Args:
            why: Reason for the photo that it decodes.
        """
        if self._process.poll() is None:
            self._why_killed = self._why_killed or why
            self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Kill the process and close its pipes. No other thread may use it."""
        self.kill()
        for pipe in (self._requests, self._answers):
            with suppress(OSError):  # of a request that was not sent
                pipe.close()

    def _answer(self) -> dict[str, Any]:
        with self._time_limit():
            line = self._answers.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise EOFError
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise ValueError
        return answer

    @contextmanager
    def _time_limit(self) -> Iterator[None]:
        why = f"took longer than {_WALL_S:.0f} seconds"
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(self._answers, select.POLLIN)
            if not poll.poll(_WALL_S * 1000):
                self.kill(why)
            yield
            return
        timer = threading.Timer(_WALL_S, self.kill, [why])  # a thread, which is slower to start
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _decoded(self, answer: dict[str, Any]) -> DecodedPhoto | Refusal:
        if "reason" in answer:
            return Refusal(answer["stage"], str(answer["reason"]))
        height, width = (int(side) for side in answer["shape"])
        length = int(answer["profile"])
        if not 0 < width <= MAX_SIDE_PX or not 0 < height <= MAX_SIDE_PX or height * width * 3 > LARGE_BYTES:
            raise ValueError
        if not 0 <= length <= MAX_PROFILE_BYTES:
            raise ValueError
        pixels = np.empty((height, width, 3), np.uint8)
        if self._answers.readinto(pixels) != pixels.nbytes:  # type: ignore[attr-defined]
            raise EOFError
        profile = self._answers.read(length)
        taken = answer["taken"]
        taken_at = None if taken is None else str(taken)
        sha256 = bytes.fromhex(answer["sha256"])
        facts = PhotoFacts(int(answer["width"]), int(answer["height"]), taken_at, sha256)
        return DecodedPhoto(pixels, facts, profile)

    def _why_ended(self, cpu_s: float) -> str:
        if self._why_killed:
            return self._why_killed
        code = self._process.returncode
        if code == -getattr(signal, "SIGXCPU", 0):
            return f"took longer than {cpu_s:g} seconds to decode"
        if code in (-getattr(signal, "SIGKILL", 0), -signal.SIGTERM):
            return ""
        if code >= 0:
            raise MvmrError(f"The process that decodes photos ended with exit code {code}. Its message is above.")
        return "damaged: the decoder crashed"
