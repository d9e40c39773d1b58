"""Inputs to embed, in a fixed order. Any range can be read again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from mvmr_zoo.images import PhotoFile


@dataclass(frozen=True)
class InputList:
    """Identity of a list of inputs.

    Args:
        count: Number of inputs.
        digest: SHA-256 of their names, in order.
    """

    count: int
    digest: str


class Source(Protocol):
    """A source of inputs, which are read in ranges to limit memory."""

    @property
    def name(self) -> str:
        """Display name."""

    def stamp(self) -> object:
        """A value that changes when the list may have changed."""

    def listed(self) -> InputList:
        """Count and digest of the current inputs. Raises DataError."""

    def inputs(self, first: int, last: int) -> Iterator[PhotoFile]:
        """Inputs `first` (inclusive) to `last` (exclusive). Raises DataError."""


def file_stamp(path: str) -> tuple[int, int, int]:
    """Inode, size in bytes and mtime in nanoseconds of a file, to detect changes."""
    facts = os.stat(path)
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def list_names(names: Iterable[bytes], *, seed: bytes = b"") -> InputList:
    """Count and digest of names. The digest starts with `seed`."""
    digest, count = hashlib.sha256(seed), 0
    for name in names:
        digest.update(len(name).to_bytes(8, "big") + name)
        count += 1
    return InputList(count, digest.hexdigest())
