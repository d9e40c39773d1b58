"""Fixed rows per image, computed once and kept on disk: representations and teacher embeddings.

Each cache is one folder, named after its producer and a hash of everything that its rows depend on:

NAME-KEY/
manifest.json   what the rows depend on, and how many rows are done
rows.npy        `(R, K)`, memory-mapped
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from filelock import FileLock
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from mvmr_zoo._io import check_regular, read_regular, write_whole
from mvmr_zoo.datasets import ImageSet, stat_fingerprint
from mvmr_zoo.errors import DataError, describe_os_error
from training.config import CacheConfig
from training.console import counted

BLOCK = 256
"""Number of rows that are computed, written and recorded together. An interruption loses at most this many."""


@dataclass(frozen=True, kw_only=True)
class Producer:
    """A function from images to rows, and what identifies it.

    Args:
        name: Readable name, for example `scattering` or `effnet-lite:0`.
        digest: Hash of everything that the rows depend on beside the images: weights, code, options, preprocessing.
        dim: Length K of a row.
        compute: Maps the indices of some rows to the rows `(n, K)` float32.
        repeats: Rows per image. Row `i * repeats + j` belongs to image i.
        facts: Further values that the rows depend on. The hash includes them, and the manifest states them.
    """

    name: str
    digest: str
    dim: int
    compute: Callable[[NDArray[np.int64]], NDArray[np.float32]]
    repeats: int = 1
    facts: Mapping[str, int | str] = dataclasses.field(default_factory=dict)


def cached_rows(folder: Path, data: ImageSet, producer: Producer, config: CacheConfig) -> NDArray[np.floating[Any]]:
    """All rows `(N * repeats, K)`, read-only and memory-mapped. Missing rows are computed first.

    An interrupted build continues where it stopped. If several processes call this, one builds and the others wait.

    Args:
        folder: Folder of caches. This cache is a subfolder of it.
        data: The images.
        producer: Computes the rows.
        config: How the rows are stored.

    Raises:
        DataError: The folder contains rows of other images or another producer, it is damaged, or the disk is full.
        ImageError: An image cannot be read.
    """
    total = len(data) * producer.repeats
    identity = _identity(data, producer, config)
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    readable = re.sub(r"[^\w.-]+", "-", producer.name)
    cache_path = folder / f"{readable}-{key}"
    try:
        cache_path.mkdir(parents=True, exist_ok=True)
        with FileLock(cache_path / "lock"):
            done = _done(cache_path, identity)
            if done < total:
                _build(cache_path, data, producer, config, identity, done)
    except OSError as error:
        raise DataError(f"{cache_path}: the cache cannot be written. {describe_os_error(error)}") from None
    return _open(cache_path, total, identity)


def _identity(data: ImageSet, producer: Producer, config: CacheConfig) -> dict[str, Any]:
    return {
        "images": stat_fingerprint(data),
        "producer": producer.name,
        "producer_digest": producer.digest,
        **producer.facts,
        **dataclasses.asdict(config),
    }


def _done(cache_path: Path, identity: dict[str, Any]) -> int:
    """Number of finished rows. Raises DataError if the folder contains another cache."""
    path = cache_path / "manifest.json"
    if not path.exists():
        return 0
    try:
        manifest = json.loads(read_regular(path))
        found, done = manifest["identity"], int(manifest["done"])
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path} is damaged. Delete {cache_path} and run again.") from None
    for name, expected in identity.items():
        if found.get(name) != expected:
            raise DataError(
                f"{cache_path} contains another cache: its {name} is {found.get(name)}; expected {expected}. "
                "Delete that folder, or use another data.cache."
            )
    return done


def _build(
    cache_path: Path, data: ImageSet, producer: Producer, config: CacheConfig, identity: dict[str, Any], done: int
) -> None:
    total = len(data) * producer.repeats
    rows = _writable(cache_path, (total, producer.dim), config.dtype, done)
    if done:
        print(f"{producer.name}: resuming a cache with {done:,} of {total:,} vectors", flush=True)
    else:
        print(f"{producer.name}: computing {total:,} vectors and caching them in {cache_path}", flush=True)
    with counted(producer.name, done) as progress:
        for start in range(done, total, BLOCK):
            indices = np.arange(start, min(start + BLOCK, total))
            values = producer.compute(indices)
            _check(values, indices, data, producer, config)
            rows[indices] = values
            rows.flush()
            _record(cache_path, identity, int(indices[-1]) + 1, total)
            progress(int(indices[-1]) + 1, total)


def _writable(cache_path: Path, shape: tuple[int, int], dtype: str, done: int) -> np.memmap[Any, Any]:
    path = cache_path / "rows.npy"
    if done:
        rows = _load(path, shape[0], mode="r+")
        if rows.shape == shape and rows.dtype == dtype:
            return rows
        raise DataError(f"{path} has shape {rows.shape}, {rows.dtype}; expected {shape}, {dtype}. Delete {cache_path}.")
    needed, free = shape[0] * shape[1] * np.dtype(dtype).itemsize, shutil.disk_usage(cache_path).free
    if needed > free:
        raise DataError(
            f"{cache_path} needs {needed / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free. Use another data.cache, "
            "or store less: dtype float16 under representations.cache or teacher.cache."
        )
    rows = cast("np.memmap[Any, Any]", open_memmap(path, "w+", dtype, shape))
    if hasattr(os, "posix_fallocate"):  # otherwise a write to a full disk would kill the process
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return rows


def _check(
    values: NDArray[np.float32], indices: NDArray[np.int64], data: ImageSet, producer: Producer, config: CacheConfig
) -> None:
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        bad = data.describe(int(indices[np.argmin(finite)]) // producer.repeats)
        raise DataError(f"{producer.name} produced NaN or infinite values for {bad}.")
    if config.dtype == "float16" and np.abs(values).max(initial=0) > np.finfo(np.float16).max:
        raise DataError(f"{producer.name} produced values above the range of float16. Set its cache.dtype to float32.")


def _record(cache_path: Path, identity: dict[str, Any], done: int, total: int) -> None:
    """Record durably that the first `done` rows are written."""
    write_whole(cache_path / "manifest.json", json.dumps({"identity": identity, "done": done, "rows": total}, indent=2))


def _open(cache_path: Path, total: int, identity: dict[str, Any]) -> NDArray[np.floating[Any]]:
    rows = _load(cache_path / "rows.npy", total, mode="r")
    if rows.dtype != identity["dtype"] or rows.ndim != 2:
        raise DataError(
            f"{cache_path / 'rows.npy'} has shape {rows.shape}, {rows.dtype}; expected (N, K), {identity['dtype']}. "
            f"Delete {cache_path}."
        )
    return rows


def _load(path: Path, total: int, mode: Literal["r", "r+"]) -> np.memmap[Any, Any]:
    try:
        rows: np.memmap[Any, Any] = np.load(check_regular(path), mmap_mode=mode)
    except (ValueError, OSError, EOFError):
        raise DataError(f"{path} is damaged or missing. Delete {path.parent} and run again.") from None
    if len(rows) != total:
        raise DataError(f"{path} contains {len(rows)} rows; expected {total}. Delete {path.parent} and run again.")
    return rows
