"""The process that decodes photos for `decode_pool.py`, one at a time, under limits of time and memory.

It reads requests from standard input and writes answers to standard output. Each is a line of JSON and the bytes that
the line announces. Answers are not pickles, so a decoder that was taken over cannot run code in the other process.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import sys
import time
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import AvifImagePlugin

from mvmr_zoo.errors import ImageError
from mvmr_zoo.images.decode import DecodingCost, decode_photo, file_bytes
from mvmr_zoo.images.preprocess import Preprocess

if TYPE_CHECKING:
    from numpy.typing import NDArray

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

LARGE_BYTES = 1 << 30
"""Memory that decoding a large photo may need, beside its file. A pool decodes one of them at a time."""

MAX_PROFILE_BYTES = 2_000_000
"""A larger color profile is not passed on. Those of cameras and monitors are far smaller."""


def main(nice: int) -> None:
    """Answer requests until standard input is closed.

    Args:
        nice: Added to the niceness of this process.
    """
    if hasattr(os, "nice"):
        os.nice(nice)
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)  # libraries such as libtiff write to the terminal
    os.dup2(nothing, 2)
    _use_one_thread()
    worker = _Worker(requests, answers)
    while line := requests.readline():
        worker.answer(json.loads(line))
        answers.flush()


def _use_one_thread() -> None:
    """There is a worker for each core, and each thread of a decoder would reserve memory."""
    import pillow_heif

    pillow_heif.options.DECODE_THREADS = 1
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1


class _Worker:
    """Answers requests.

    Args:
        requests: Where requests come from.
        answers: Where answers go.
    """

    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        self._requests, self._answers = requests, answers
        self._own_bytes = _address_space()

    def answer(self, request: dict[str, Any]) -> None:
        """Decode the photo of a request and write the answer."""
        name, length = request["name"], request["length"]
        content = None if length is None else self._requests.read(length)
        self._is_large = False
        try:
            content = file_bytes(name) if content is None else content
            _limit_seconds(request["cpu_s"])
            self._limit_memory(len(content) + request["small_bytes"])
            try:
                decoded = self._decode(name, content, request)
            except MemoryError:
                if self._is_large:
                    raise
                self._become_large(len(content))
                decoded = self._decode(name, content, request)
            self._write(*decoded)
        except ImageError as error:
            self._write({"stage": error.stage, "reason": error.reason})
        except MemoryError as error:
            reason = f"{error}needs more than {LARGE_BYTES / 1e6:,.0f} MB of memory to decode"
            self._write({"stage": "decode", "reason": reason})

    def _decode(
        self, name: str, content: bytes, request: dict[str, Any]
    ) -> tuple[dict[str, Any], NDArray[np.uint8], bytes]:
        def admit(cost: DecodingCost) -> bool:
            if cost.memory_bytes > request["small_bytes"] and not self._is_large:
                self._become_large(len(content))
            return True

        photo = decode_photo(name, content, min_px=request["min_px"], max_pixels=request["max_pixels"], admit=admit)
        assert photo is not None
        profile = photo.image.info.get("icc_profile") or b""
        profile = profile if len(profile) <= MAX_PROFILE_BYTES else b""
        image = photo.image
        if request["crop"] is not None:
            image, profile = _preprocess(request["crop"]).crop(image), b""
        pixels: NDArray[np.uint8] = np.ascontiguousarray(image)
        facts = {"width": photo.width, "height": photo.height, "taken": photo.taken}
        sha256 = hashlib.sha256(content).hexdigest() if request["hash"] else ""
        return {"shape": pixels.shape[:2], "profile": len(profile), "sha256": sha256, **facts}, pixels, profile

    def _become_large(self, content_bytes: int) -> None:
        """Wait until no other large photo is decoded, and raise the limit of memory."""
        self._write({"large": True})
        self._answers.flush()
        if not self._requests.readline():
            sys.exit()
        self._is_large = True
        self._limit_memory(content_bytes + LARGE_BYTES)

    def _limit_memory(self, size: int) -> None:
        if resource is not None and self._own_bytes:
            resource.setrlimit(resource.RLIMIT_AS, (self._own_bytes + size, resource.RLIM_INFINITY))

    def _write(self, answer: dict[str, Any], *parts: Any) -> None:
        self._answers.write(json.dumps(answer).encode() + b"\n")
        for part in parts:
            self._answers.write(part)


@functools.cache
def _preprocess(fields: str) -> Preprocess:
    return Preprocess.from_dict(json.loads(fields))


def _limit_seconds(seconds: float) -> None:
    """The system kills this process if it computes for longer, counted from now."""
    if resource is not None:
        used = time.process_time()
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used + seconds), resource.RLIM_INFINITY))


def _address_space() -> int:
    """Size of the address space of this process in bytes; 0 if the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0
