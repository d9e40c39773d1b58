"""Processes that decode photos from unknown sources, so that a bad photo cannot stop or fill this process."""

from __future__ import annotations

import atexit
import functools
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image

from mvmr_zoo.errors import ImageError
from mvmr_zoo.images.decode import Photo
from mvmr_zoo.images.decode_process import (
    DecodedPhoto,
    DecodeProcess,
    LargePhotoTurn,
    ProcessEndedError,
    Refusal,
)

if TYPE_CHECKING:
    from mvmr_zoo.images.preprocess import Preprocess

CPU_S = 6.0
"""Time that decoding a photo may take on the processor, in seconds. The largest accepted ones take about three."""

SMALL_BYTES = 1 << 29
"""Memory that decoding a photo may need without waiting for its turn: about 45 megapixels."""


class PhotoFile(NamedTuple):
    """A photo that is decoded in another process.

    Args:
        path: Path of its file, decoded with `os.fsdecode`; a display name if it has no file.
        content: The encoded photo; None to read it from the file.
        problem: Why it cannot be read, if that is already known.
    """

    path: str
    content: bytes | None = None
    problem: str | None = None


class Cancellation:
    """Stops the photos that are being decoded for one caller, from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[DecodeProcess] = set()
        self._canceled = False

    def cancel(self) -> None:
        """Kill the processes in use. Their photos and all later ones raise ImageError."""
        with self._lock:
            self._canceled = True
            for process in self._processes:
                process.kill("canceled")

    @contextmanager
    def watching(self, process: DecodeProcess) -> Iterator[None]:
        """Kill this process if `cancel` was called or is called meanwhile."""
        with self._lock:
            self._processes.add(process)
            if self._canceled:
                process.kill("canceled")
        try:
            yield
        finally:
            with self._lock:
                self._processes.discard(process)


class DecodePool:
    """Processes that decode photos, started when they are needed. Each calling thread waits for its own photo.

    Args:
        size: Number of processes; None uses one per core.
        cpu_s: Time that a photo may take on the processor, in seconds. It has no effect on Windows.
        small_bytes: Memory that a photo may need, in bytes. Larger photos are decoded one at a time.
        large_wait_s: How long a large photo waits for other large ones, in seconds; None for as long as it takes.
        nice: Added to the niceness of the processes.
    """

    def __init__(
        self,
        size: int | None = None,
        *,
        cpu_s: float = CPU_S,
        small_bytes: int = SMALL_BYTES,
        large_wait_s: float | None = None,
        nice: int = 0,
    ) -> None:
        self._cpu_s, self._small_bytes, self._nice = cpu_s, small_bytes, nice
        self._turn = LargePhotoTurn(large_wait_s)
        self._free = threading.BoundedSemaphore(size or os.cpu_count() or 1)
        self._idle: list[DecodeProcess] = []
        atexit.register(self.close)

    def photo(
        self,
        file: PhotoFile,
        *,
        min_px: int | None = None,
        max_pixels: int | None = None,
        cancellation: Cancellation | None = None,
    ) -> Photo:
        """Decode a photo as `read_photo` does.

        Raises:
            ImageError: As `read_photo`, or the photo exceeds a limit, or the decoder crashed.
        """
        decoded = self.decode(file, min_px=min_px, max_pixels=max_pixels, cancellation=cancellation)
        image = Image.fromarray(decoded.pixels)
        if decoded.profile:
            image.info["icc_profile"] = decoded.profile
        return Photo(image, decoded.facts.width, decoded.facts.height, decoded.facts.taken_at)

    def decode(
        self,
        file: PhotoFile,
        *,
        min_px: int | None = None,
        max_pixels: int | None = None,
        crop: Preprocess | None = None,
        with_hash: bool = False,
        cancellation: Cancellation | None = None,
    ) -> DecodedPhoto:
        """Decode a photo to an array.

        Args:
            file: The photo.
            min_px: See `read_photo`.
            max_pixels: See `read_photo`.
            crop: Return the center crop of this preprocessing instead of the whole photo.
            with_hash: Compute the digest of the file.
            cancellation: Stops the photo.

        Raises:
            ImageError: As `photo`.
        """
        if file.problem is not None:
            raise ImageError(file.path, "open", file.problem)
        request = {
            "name": str(Path(file.path).absolute()),  # the process may have another working directory
            "length": None if file.content is None else len(file.content),
            "min_px": min_px,
            "max_pixels": max_pixels,
            "crop": None if crop is None else _fields(crop),
            "hash": with_hash,
            "cpu_s": self._cpu_s,
            "small_bytes": self._small_bytes,
        }
        with self._free:
            result = self._decode(file.content, request, cancellation)
        if isinstance(result, Refusal):
            raise ImageError(file.path, result.stage, result.reason)
        return result

    def close(self) -> None:
        """Stop the idle processes."""
        while self._idle:
            self._idle.pop().close()

    def _idle_process(self) -> DecodeProcess | None:
        while True:
            try:
                process = self._idle.pop()
            except IndexError:  # another thread may have taken the last one
                return None
            if process.is_alive:
                return process
            process.close()

    def _decode(
        self, content: bytes | None, request: dict[str, Any], cancellation: Cancellation | None
    ) -> DecodedPhoto | Refusal:
        while True:
            process = self._idle_process()
            new = process is None
            process = process or DecodeProcess(self._nice)
            try:
                with cancellation.watching(process) if cancellation else nullcontext():
                    result = process.decode(request, content, self._turn)
            except ProcessEndedError as error:
                process.close()
                if error.reason or new:
                    return Refusal("decode", error.reason or "the process that decodes it was stopped")
                continue  # an idle process was stopped from outside
            except BaseException:
                process.close()
                raise
            self._idle.append(process)
            return result


@functools.cache
def _fields(preprocess: Preprocess) -> str:
    return json.dumps(preprocess.to_dict())


def decode_pool() -> DecodePool:
    """The pool of this process. A forked process has its own."""
    return _pool(os.getpid())


@functools.cache
def _pool(process: int) -> DecodePool:
    return DecodePool()
