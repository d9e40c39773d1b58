"""What is embedded: inputs in a fixed order, of which any range can be read again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from mvmr_zoo.errors import ImageError
from mvmr_zoo.images import read_photo
from mvmr_zoo.inference import DecodedImage


@dataclass(frozen=True)
class Input:
    """One image to embed.

    Args:
        path: of its file, as `os.fsdecode` gives it; where it has no file, what to call it.
        content: the encoded image; None is read from the file.
        problem: why it cannot be read, where that is known already.
    """

    path: str
    content: bytes | None = None
    problem: str | None = None

    def __str__(self) -> str:
        return self.path

    def decode(self, min_px: int) -> DecodedImage:
        """Decode to an upright RGB image. A large JPEG keeps a short side of at least `min_px`. Raises ImageError."""
        if self.problem is not None:
            raise ImageError(self.path, "open", self.problem)
        return DecodedImage(read_photo(self.path, content=self.content, min_px=min_px).image)


@dataclass(frozen=True)
class InputList:
    """What tells one list of inputs from another.

    Args:
        count: of inputs.
        digest: SHA-256 of their names, in order.
    """

    count: int
    digest: str


class Source(Protocol):
    """Where inputs come from. Holds no more of them than it must."""

    @property
    def name(self) -> str:
        """What a person calls it."""

    def stamp(self) -> object:
        """Changes when the list may have changed since it was last read."""

    def listed(self) -> InputList:
        """The list of inputs as it is now. Raises DataError."""

    def inputs(self, first: int, last: int) -> Iterator[Input]:
        """Inputs `first` to `last`, without the last one. Raises DataError."""


def file_stamp(path: str) -> tuple[int, int, int]:
    """What tells that a file did not change: which it is, its size in bytes, its mtime in nanoseconds."""
    facts = os.stat(path)
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def list_names(names: Iterable[bytes], *, seed: bytes = b"") -> InputList:
    """The list of some names; `seed` goes into its digest."""
    digest, count = hashlib.sha256(seed), 0
    for name in names:
        digest.update(len(name).to_bytes(8, "big") + name)
        count += 1
    return InputList(count, digest.hexdigest())
