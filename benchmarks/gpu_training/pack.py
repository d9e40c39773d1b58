"""Photo folders to shards, and shards to square arrays.

A shard is a Parquet file of WebP photos. WebP needs about two thirds of the bytes of JPEG. Training photos are
shuffled before they are divided into shards, so that any of the shards can be used without the others.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from mvmr_zoo._io import write_whole
from mvmr_zoo.datasets import ImageFolder, ImageSet, image_folder, open_images
from mvmr_zoo.errors import ImageError
from mvmr_zoo.images import read_image

QUALITY = 80
_CHUNK = 256


class Item(NamedTuple):
    """A photo to pack, and its label: its source among the training photos, its class in a dev set."""

    path: Path
    label: str


class Canvases(NamedTuple):
    """Photos as squares of one size.

    Args:
        pixels: `(N, 3, S, S)` uint8, mapped from a file.
        sizes: `(N, 2)` int64, width and height of each packed photo.
        images: The packed photos. Their classes are their sources.
        identity: SHA-256 of the packed photos and S.
    """

    pixels: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    images: ImageSet
    identity: str


def pack(
    photos: Path,
    output: Path,
    *,
    dev: Sequence[str],
    px: int,
    most: int,
    dev_per_class: int,
    shard_mb: float,
    workers: int,
) -> None:
    """Write `output/train/NNNN.parquet` from `photos/train/SOURCE/...`, and `output/dev/SET/...` from `photos/dev/SET`.

    Args:
        photos: Folder of photos.
        output: Folder of shards.
        dev: Names of the dev sets.
        px: Largest short side of a packed photo. Smaller photos keep their size.
        most: Largest number of photos of one source, drawn at random.
        dev_per_class: The same for one class of a dev set.
        shard_mb: Largest size of a shard in MB.
        workers: Number of processes.
    """
    random = np.random.default_rng(0)
    items: list[Item] = []
    for folder in sorted(path for path in (photos / "train").iterdir() if path.is_dir()):
        found = image_folder(folder)
        chosen = random.permutation(len(found))[:most]
        items += [Item(found.paths[row], folder.name) for row in chosen.tolist()]
    shuffled = [items[row] for row in random.permutation(len(items)).tolist()]
    _write_shards(output / "train", shuffled, px, shard_mb, workers)
    for name in dev:
        _write_shards(
            output / "dev" / name, _of_each_class(photos / "dev" / name, dev_per_class), px, shard_mb, workers
        )


def _of_each_class(folder: Path, count: int) -> list[Item]:
    found: ImageFolder = image_folder(folder)
    random = np.random.default_rng(0)
    items = []
    for label, name in enumerate(found.class_names):
        members = random.permutation(np.flatnonzero(found.labels == label))[:count]
        items += [Item(found.paths[row], name) for row in members.tolist()]
    return items


def _write_shards(folder: Path, items: list[Item], px: int, shard_mb: float, workers: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    chunks = [items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK)]
    files, size, written = 0, 0, 0
    rows: list[tuple[bytes, str]] = []
    with ProcessPoolExecutor(workers) as pool:
        for content, label in itertools.chain.from_iterable(pool.map(_encode, chunks, [px] * len(chunks))):
            if rows and size + len(content) > 1e6 * shard_mb:
                _write_shard(folder / f"{files:04}.parquet", rows)
                files, rows, size = files + 1, [], 0
            rows.append((content, label))
            size, written = size + len(content), written + 1
    _write_shard(folder / f"{files:04}.parquet", rows)
    print(f"{folder}: {written:,} of {len(items):,} photos in {files + 1} shards", flush=True)


def _encode(items: list[Item], px: int) -> list[tuple[bytes, str]]:
    """The photos as WebP, cropped to at most 4:3, with their labels. Photos that cannot be read are left out."""
    rows = []
    for path, label in items:
        try:
            image = read_image(path, min_px=px)
        except ImageError:
            continue
        width, height = image.size
        w, h = min(width, height * 4 // 3), min(height, width * 4 // 3)
        left, top = (width - w) // 2, (height - h) // 2
        scale = min(1.0, px / min(w, h))
        size = (max(1, round(w * scale)), max(1, round(h * scale)))
        file = io.BytesIO()
        image.resize(size, Image.Resampling.BICUBIC, box=(left, top, left + w, top + h)).save(
            file, "WEBP", quality=QUALITY
        )
        rows.append((file.getvalue(), label))
    return rows


def _write_shard(path: Path, rows: list[tuple[bytes, str]]) -> None:
    images = pa.array(
        [{"bytes": content, "path": None} for content, _ in rows],
        pa.struct({"bytes": pa.binary(), "path": pa.string()}),
    )
    table = pa.table({"image": images, "label": pa.array([label for _, label in rows])})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="none")
    write_whole(path, buffer.getvalue())


def canvases(folder: Path, px: int, workers: int) -> Canvases:
    """The photos of the shards in `folder` as squares of `px` pixels. The array is kept beside the shards.

    Args:
        folder: Folder of shards.
        px: Side S of the squares.
        workers: Number of processes that decode.
    """
    images = open_images(f"parquet:{folder}")
    identity = hashlib.sha256(f"{images.fingerprint} {px}".encode()).hexdigest()
    kept = folder / f"canvas-{px}"
    pixels, sizes = kept / f"{identity[:16]}-pixels.npy", kept / f"{identity[:16]}-sizes.npy"
    if not sizes.exists():
        kept.mkdir(exist_ok=True)
        _decode(images, pixels, sizes, px, workers)
    mapped = np.load(pixels, mmap_mode="c")
    return Canvases(mapped, np.load(sizes), images, identity)


def _decode(images: ImageSet, pixels: Path, sizes: Path, px: int, workers: int) -> None:
    np.lib.format.open_memmap(pixels, mode="w+", dtype=np.uint8, shape=(len(images), 3, px, px)).flush()
    # few spans, because a process reads all shards for each
    bounds = np.linspace(0, len(images), 4 * workers + 1).astype(int).tolist()
    spans = [span for span in itertools.pairwise(bounds) if span[0] < span[1]]
    with ProcessPoolExecutor(workers) as pool:
        parts = list(pool.map(_decode_span, [images] * len(spans), [pixels] * len(spans), spans))
    with sizes.with_suffix(".part").open("wb") as file:  # last: its presence means that all pixels are written
        np.save(file, np.concatenate(parts))
    os.replace(sizes.with_suffix(".part"), sizes)


def _decode_span(images: ImageSet, pixels: Path, span: tuple[int, int]) -> NDArray[np.int64]:
    made = np.lib.format.open_memmap(pixels, mode="r+")
    px, sizes = made.shape[-1], []
    for row in range(*span):
        image = images.image(row)
        sizes.append(image.size)
        made[row] = np.asarray(image.resize((px, px), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    return np.asarray(sizes, np.int64)
