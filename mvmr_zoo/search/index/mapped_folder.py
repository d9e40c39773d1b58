"""A memory-mapped embeddings folder: vectors and paths are read when they are needed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo._io import check_regular, written_whole
from mvmr_zoo.embed.folder import EmbeddingsFacts, Shard, check_file, open_shards, read_counts, read_facts, rows_of
from mvmr_zoo.errors import DataError
from mvmr_zoo.search.index.vector_index import VectorPart

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS_A_PART = 16_384

_PATHS, _STARTS = "paths.bin", "paths.npy"


class MappedFolder:
    """A finished embeddings folder.

    Args:
        base: Path of the folder.

    Raises:
        DataError: It is not an embeddings folder, is not finished or empty, or its files are inconsistent.
    """

    def __init__(self, base: Path) -> None:
        facts, counts = read_facts(base), read_counts(base)
        if facts is None or counts is None:
            raise DataError(
                f"{base} is not a finished embeddings folder, because manifest.json is missing. "
                "Run `mvmr-zoo embed` to create or finish it."
            )
        self.base = base
        self.facts: EmbeddingsFacts = facts
        self.shards: list[Shard] = list(open_shards(base, facts))
        if [len(shard.vectors) for shard in self.shards] != counts:
            raise DataError(f"The shard sizes in {base} do not match manifest.json.")
        self.rows = sum(counts)
        if not self.rows:
            raise DataError(f"{base} contains no vectors, because none of its images could be embedded.")

    def vectors(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of rows, `(N, D)` float32, as stored. Row numbers count over all shards."""
        return rows_of([shard.vectors for shard in self.shards], np.asarray(rows, np.int64))

    def parts(self, shard: int) -> Iterator[VectorPart]:
        """The vectors of a shard as stored, with their row numbers."""
        first = sum(len(each.vectors) for each in self.shards[:shard])
        vectors: NDArray[Any] = self.shards[shard].vectors
        for start in range(0, len(vectors), ROWS_A_PART):
            part = np.asarray(vectors[start : start + ROWS_A_PART], np.float16)
            yield VectorPart(np.arange(first + start, first + start + len(part)), part)

    def check(self, shard: int) -> None:
        """Raise DataError if the vector file of a shard was altered."""
        check_file(self.base, self.shards[shard].array.relative_to(self.base).as_posix())

    def all_parts(self) -> Iterator[VectorPart]:
        """Yield the vectors of all shards."""
        for number in range(len(self.shards)):
            yield from self.parts(number)


def write_paths(folder: Path, names: Iterable[list[str]]) -> None:
    """Write paths for random access: a file of their bytes, and a file of their start positions.

    Args:
        folder: Folder to write to.
        names: Paths as `os.fsdecode` gives them, in parts.
    """
    starts = [np.zeros(1, np.int64)]
    with written_whole(folder / _PATHS) as part, part.open("wb") as file:
        for some in filter(None, names):
            raw = [os.fsencode(name) for name in some]
            starts.append(starts[-1][-1] + np.cumsum([len(name) for name in raw], dtype=np.int64))
            file.write(b"".join(raw))
    with written_whole(folder / _STARTS) as part, part.open("wb") as file:
        np.save(file, np.concatenate(starts))


class Paths:
    """Memory-mapped paths from `write_paths`.

    Args:
        folder: Folder of the files.
        rows: Number of paths.

    Raises:
        OSError, ValueError, EOFError: A file is missing or damaged.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        self._starts = np.load(check_regular(folder / _STARTS), mmap_mode="r")
        self._bytes = np.memmap(check_regular(folder / _PATHS), np.uint8, "r")
        if self._starts.shape != (rows + 1,) or self._starts[-1] != len(self._bytes):
            raise ValueError(f"{folder / _PATHS} and {folder / _STARTS} do not match")

    def __getitem__(self, row: int) -> Path:
        """The path of the image of a row."""
        return Path(os.fsdecode(self._bytes[self._starts[row] : self._starts[row + 1]].tobytes()))
