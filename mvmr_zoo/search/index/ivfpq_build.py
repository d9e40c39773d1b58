"""Build the IVF-PQ index of an embeddings folder, which stores each vector as a few bytes in its nearest cluster.

The index is built shard by shard, and an interrupted build continues with the remaining shards. Files in
`FOLDER/index`: `made_of` and `trained.faiss` (the empty index), `block_N.faiss` (the codes of a shard), `paths.bin` and
`paths.npy`, `vectors.faiss` (all blocks) and `index.json`. The first three are deleted after `index.json` is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from mvmr_zoo._io import counted, read_regular, write_whole, written_whole
from mvmr_zoo.checkpoint import file_digest
from mvmr_zoo.embed.folder import MANIFEST_FILE
from mvmr_zoo.errors import DataError, LibraryBusyError, LibraryError, describe_os_error
from mvmr_zoo.inference import unit
from mvmr_zoo.search.index.faiss_io import (
    TRAINING_ROWS_PER_CLUSTER,
    clusters_for,
    faiss_library,
    read_index,
    train,
    write_index,
)
from mvmr_zoo.search.index.ivfpq import (
    FACTS_FILE,
    INDEX,
    LISTS_FILE,
    IvfPq,
    OpenIvfPq,
    has_ivfpq,
    nearest,
    open_ivfpq,
    read_ivfpq,
)
from mvmr_zoo.search.index.manifest import Tuning
from mvmr_zoo.search.index.mapped_folder import MappedFolder, write_paths
from mvmr_zoo.search.index.tuning import TARGET, HeldOutQueries, check_recall, held_out, query_ids, tune
from mvmr_zoo.search.score_calibration import CALIBRATION_ROWS, random_pair_quantiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST = 10_000
"""Minimum number of rows. Smaller folders need no clusters, because a photo library compares all vectors."""

_TRAINED, _STAMP, _LOCK = "trained.faiss", "made_of", ".lock"
_MOST_CODE_BYTES, _FEATURES_A_BYTE = 128, 8
_MOST_TRAINING_ROWS = 262_144
_SEARCHED_AT_MOST = 4

Progress = Callable[[int, int], None]
Note = Callable[[str], None]


def build_ivfpq(
    folder: Path,
    *,
    recall: float = TARGET,
    progress: Progress = lambda done, total: None,
    note: Note = lambda text: None,
) -> IvfPq:
    """Build the index of an embeddings folder, or continue an interrupted build. A finished index is only tuned.

    The memory holds the training sample, at most 262,144 vectors, and then all codes with 8 more bytes per vector than
    `IvfPq.code_bytes`.

    Args:
        folder: Finished embeddings folder.
        recall: Target for recall@10, in (0, 1].
        progress: Receives the number of indexed vectors and the total.
        note: Receives messages about slow steps.

    Raises:
        ConfigError: `recall` is out of range.
        DataError: The folder is not finished, was altered, or has fewer than 10,000 vectors.
        LibraryBusyError: Another command is building the index.
        LibraryError: The index cannot be written.
    """
    check_recall(recall)
    mapped, place = MappedFolder(folder), folder / INDEX
    if mapped.rows < FEWEST:
        raise DataError(
            f"{folder} contains {counted(mapped.rows, 'vector')}; an index needs at least {FEWEST:,}. "
            "Use `mvmr-zoo index add PHOTO-FOLDER` instead, which compares all vectors."
        )
    made_of = file_digest(folder / MANIFEST_FILE)
    try:
        with _claimed(place):
            opened = _whole(folder, mapped, made_of)
            if opened is None:
                _make(mapped, place, made_of, progress, note)
                opened = open_ivfpq(folder, mapped, None)
            note("Choosing how many clusters to search.")
            lists = IvfPq(
                made_of=made_of,
                rows=mapped.rows,
                size=(place / LISTS_FILE).stat().st_size,
                code_bytes=_code_bytes(mapped.facts.dim),
                tuning=_tuned(mapped, opened.index, recall),
                background=random_pair_quantiles(mapped.vectors(_sample(np.arange(mapped.rows), CALIBRATION_ROWS))),
            )
            write_whole(place / FACTS_FILE, json.dumps(asdict(lists), indent=2) + "\n")
            for path in (*place.glob("block_*.faiss"), place / _TRAINED, place / _STAMP):  # the stamp is deleted last
                path.unlink(missing_ok=True)
            return lists
    except OSError as error:
        raise LibraryError(f"{describe_os_error(error)} Progress is saved. Run the same command again.") from None


@contextmanager
def _claimed(place: Path) -> Iterator[None]:
    place.mkdir(exist_ok=True)
    try:
        with FileLock(place / _LOCK, timeout=0):
            for left in place.glob(".*.part"):
                left.unlink()
            yield
    except Timeout:
        raise LibraryBusyError(f"Another command is building {place}. Wait until it has finished.") from None


def _whole(folder: Path, mapped: MappedFolder, made_of: str) -> OpenIvfPq | None:
    """The finished index and paths, without tuning. None if they must be built."""
    try:
        lists = read_ivfpq(folder) if has_ivfpq(folder) else None
        if lists is None and _stamp(folder / INDEX) != made_of:
            return None
        return open_ivfpq(folder, mapped, lists)
    except LibraryError:
        return None


def _stamp(place: Path) -> str | None:
    """The stamp of an unfinished index: what its files were built from."""
    try:
        return read_regular(place / _STAMP).decode("utf-8", "replace")
    except OSError:
        return None


def _make(mapped: MappedFolder, place: Path, made_of: str, progress: Progress, note: Note) -> None:
    """Build the index and the paths."""
    if _stamp(place) != made_of or not (place / _TRAINED).is_file():  # all blocks must belong to the same trained index
        for path in [*place.glob("*.faiss"), place / FACTS_FILE]:
            path.unlink(missing_ok=True)
        write_whole(place / _STAMP, made_of)
        note(f"Training the index of {mapped.rows:,} vectors.")
        with written_whole(place / _TRAINED) as part:
            write_index(_trained(mapped), part)
    blocks = [place / f"block_{number}.faiss" for number in range(len(mapped.shards))]
    done = 0
    for number, block in enumerate(blocks):
        if not block.is_file():
            mapped.check(number)
            index = read_index(place / _TRAINED)
            for vectors in mapped.parts(number):
                index.add_with_ids(vectors.vectors.astype(np.float32), vectors.ids)
                progress(done + int(index.ntotal), mapped.rows)
            with written_whole(block) as part:
                write_index(index, part)
        done += len(mapped.shards[number].vectors)
        progress(done, mapped.rows)
    write_paths(place, (shard.image_paths() for shard in mapped.shards))
    _merge(place, blocks)


def _merge(place: Path, blocks: list[Path]) -> None:
    """Merge all blocks into one index."""
    index = read_index(place / _TRAINED)
    for block in blocks:
        index.merge_from(read_index(block), 0)
    with written_whole(place / LISTS_FILE) as part:
        write_index(index, part)


def _trained(mapped: MappedFolder) -> Any:
    """Train an empty index on rows that are not used as queries for tuning."""
    faiss = faiss_library()
    lists = clusters_for(mapped.rows)
    dim = mapped.facts.dim
    index = faiss.index_factory(dim, f"IVF{lists},PQ{_code_bytes(dim)}np", faiss.METRIC_INNER_PRODUCT)
    index.cp.spherical = True
    rows = np.arange(mapped.rows)
    wanted = min(TRAINING_ROWS_PER_CLUSTER * lists, _MOST_TRAINING_ROWS)
    train(index, mapped.vectors(_sample(rows[~held_out(rows)], wanted)))
    return index


def _code_bytes(dim: int) -> int:
    """Code length in bytes: one per eight dimensions, at most 128, and a divisor of `dim`."""
    most = max(1, min(dim // _FEATURES_A_BYTE, _MOST_CODE_BYTES))
    return next(number for number in range(most, 0, -1) if dim % number == 0)


def _sample(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return np.sort(np.random.default_rng(0).choice(rows, min(count, len(rows)), replace=False))


def _tuned(mapped: MappedFolder, index: Any, recall: float) -> Tuning:
    rows = query_ids(np.arange(mapped.rows))

    def search(queries: NDArray[np.float32], k: int, nprobe: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        return nearest(mapped, index, queries, k, nprobe)

    lists = int(index.nlist)
    tuning = tune(
        search,
        HeldOutQueries(rows, unit(mapped.vectors(rows))),
        mapped.all_parts(),
        rows=mapped.rows,
        nlist=max(1, lists // _SEARCHED_AT_MOST),  # higher values cannot find what the codes lost
        target=recall,
    )
    return replace(tuning, lists=lists)
