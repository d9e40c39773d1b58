"""Fixed rows, one an image, computed once and kept on disk: representations and teachers' embeddings.

Each cache is a folder of its own, named by what made it and by a hash of everything its rows depend on:

NAME-KEY/
manifest.json   that everything in words, and how many rows are done
rows.npy        `(N, K)`, memory-mapped
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from filelock import FileLock
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from mvmr_zoo.atomic import write_whole
from mvmr_zoo.datasets import ImageSet
from mvmr_zoo.errors import DataError, describe_os_error
from mvmr_zoo.progress import progress_bar
from training.projection import Projection, largest_change_bound
from training.require import require

BLOCK = 256
"""Rows that are computed, written and recorded together: what a kill can cost."""


@dataclass(frozen=True, kw_only=True)
class CacheConfig:
    """How rows are kept.

    Args:
        dtype: `float16` or `float32`.
        projection: project rows at random to so many values; None keeps every value. The change in dCor
            is measured and stated, see `projection.dcor_change_bound`.
        projection_seed: of the random projection.
    """

    dtype: Literal["float16", "float32"] = "float16"
    projection: int | None = None
    projection_seed: int = 0

    def __post_init__(self) -> None:
        """Raise ConfigError for a projection to nothing."""
        require(self.projection is None or self.projection >= 1, "cache.projection", self.projection, "at least 1")


@dataclass(frozen=True, kw_only=True)
class Producer:
    """What makes rows.

    Args:
        name: readable, as `scattering` or `effnet-lite:0`.
        digest: of everything its rows depend on beside the images: weights, code, options, preprocessing.
        dim: K.
        compute: from the indices of some images, to their rows `(n, K)` float32.
    """

    name: str
    digest: str
    dim: int
    compute: Callable[[NDArray[np.int64]], NDArray[np.float32]]


def cached_rows(folder: Path, data: ImageSet, producer: Producer, config: CacheConfig) -> NDArray[np.floating[Any]]:
    """Every image's row, `(N, K)`, read-only and memory-mapped; what is missing is computed first.

    A build that was killed goes on where it was; of several processes one builds and the others wait.

    Args:
        folder: of caches; this one gets a folder of its own in it.
        data: the images.
        producer: what makes the rows.
        config: how they are kept.

    Raises:
        DataError: the folder holds rows of other images or another producer, it is damaged, or the disk is full.
        ImageError: an image cannot be read.
    """
    identity = _identity(data, producer, config)
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    readable = re.sub(r"[^\w.-]+", "-", producer.name)
    home = folder / f"{readable}-{key}"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / "lock"):
            done = _done(home, identity)
            if done < len(data):
                _build(home, data, producer, config, identity, done)
    except OSError as error:
        raise DataError(f"{home}: the cache cannot be written. {describe_os_error(error)}") from None
    return _open(home, len(data), identity)


def _identity(data: ImageSet, producer: Producer, config: CacheConfig) -> dict[str, Any]:
    return {
        "images": data.fingerprint,
        "producer": producer.name,
        "producer_digest": producer.digest,
        **dataclasses.asdict(config),
    }


def _done(home: Path, identity: dict[str, Any]) -> int:
    """How many rows are there already; refuses what was made from something else."""
    path = home / "manifest.json"
    if not path.exists():
        return 0
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        found, done = manifest["identity"], int(manifest["done"])
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path} is damaged. Delete {home} and run again.") from None
    for name, expected in identity.items():
        if found.get(name) != expected:
            raise DataError(
                f"{home} is a cache of another kind: its {name} is {found.get(name)}, this run's is {expected}. "
                "Delete that folder, or give another data.cache."
            )
    return done


def _build(
    home: Path, data: ImageSet, producer: Producer, config: CacheConfig, identity: dict[str, Any], done: int
) -> None:
    projection = None
    if config.projection is not None:
        projection = Projection(producer.dim, config.projection, config.projection_seed)
    dim = producer.dim if projection is None else projection.outputs
    rows = _writable(home, (len(data), dim), config.dtype, done)
    bounds: list[float] = _bounds_before(home) if done else []
    with progress_bar(f"{producer.name} looks at the images, once") as progress:
        for start in range(done, len(data), BLOCK):
            indices = np.arange(start, min(start + BLOCK, len(data)))
            values = producer.compute(indices)
            _check(values, indices, data, producer, config)
            if projection is not None:
                before, values = values, projection(values)
                bounds.append(largest_change_bound(before, values))
                _check(values, indices, data, producer, config)
            rows[indices] = values
            rows.flush()
            _record(home, identity, int(indices[-1]) + 1, len(data), bounds)
            progress(int(indices[-1]) + 1, len(data))
    if bounds:
        print(
            f"{producer.name}: {producer.dim} values projected to {dim}; the square of dCor changes by at most "
            f"{max(bounds):.3f} in the batches of {BLOCK} rows looked at",
            flush=True,
        )


def _writable(home: Path, shape: tuple[int, int], dtype: str, done: int) -> np.memmap[Any, Any]:
    path = home / "rows.npy"
    if done:
        rows = _load(path, shape[0], mode="r+")
        if rows.shape == shape and rows.dtype == dtype:
            return rows
        raise DataError(f"{path} holds {rows.shape} {rows.dtype}; expected {shape} {dtype}. Delete {home}.")
    needed, free = shape[0] * shape[1] * np.dtype(dtype).itemsize, shutil.disk_usage(home).free
    if needed > free:
        raise DataError(
            f"{home} needs {needed / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free. Give another data.cache, "
            "or keep less: dtype float16 or a projection, under representations.cache or teacher.cache."
        )
    rows = cast("np.memmap[Any, Any]", open_memmap(path, "w+", dtype, shape))
    if hasattr(os, "posix_fallocate"):  # else a disk that fills up would kill the process when it writes
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return rows


def _check(
    values: NDArray[np.float32], indices: NDArray[np.int64], data: ImageSet, producer: Producer, config: CacheConfig
) -> None:
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        bad = data.describe(int(indices[np.argmin(finite)]))
        raise DataError(f"{producer.name} gave values for {bad} that are not finite.")
    if config.dtype == "float16" and np.abs(values).max(initial=0) > np.finfo(np.float16).max:
        raise DataError(f"{producer.name} gives values that float16 cannot hold; set its cache.dtype to float32.")


def _record(home: Path, identity: dict[str, Any], done: int, total: int, bounds: list[float]) -> None:
    """Say durably that the first `done` rows are there."""
    facts = {"identity": identity, "done": done, "rows": total}
    if bounds:
        facts["dcor_squared_change"] = {"largest": max(bounds), "rows": BLOCK, "blocks": bounds}
    write_whole(home / "manifest.json", json.dumps(facts, indent=2))


def _bounds_before(home: Path) -> list[float]:
    """The projection's bounds on the blocks that an earlier process built."""
    manifest = json.loads((home / "manifest.json").read_text(encoding="utf-8"))
    return list(manifest.get("dcor_squared_change", {}).get("blocks", []))


def _open(home: Path, total: int, identity: dict[str, Any]) -> NDArray[np.floating[Any]]:
    rows = _load(home / "rows.npy", total, mode="r")
    if rows.dtype != identity["dtype"] or rows.ndim != 2:
        raise DataError(f"{home / 'rows.npy'} holds {rows.dtype}; expected {identity['dtype']}. Delete {home}.")
    return rows


def _load(path: Path, total: int, mode: Literal["r", "r+"]) -> np.memmap[Any, Any]:
    try:
        rows: np.memmap[Any, Any] = np.load(path, mmap_mode=mode)
    except (ValueError, OSError, EOFError):
        raise DataError(f"{path} is damaged or missing. Delete {path.parent} and run again.") from None
    if len(rows) != total:
        raise DataError(f"{path} holds {len(rows)} rows for {total} images. Delete {path.parent} and run again.")
    return rows
