"""Stores of made-up vectors: what an index needs of photos, without photos."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvmr_zoo.images.scan import Stamp
from mvmr_zoo.inference.pipeline import unit
from mvmr_zoo.search.rows import PhotoRow
from mvmr_zoo.search.store import Store

DIM = 16


def clustered(count: int, seed: int = 0) -> NDArray[np.float32]:
    """`(count, DIM)` unit vectors around some centers, as photos' are."""
    random = np.random.default_rng(seed)
    centers = np.random.default_rng(99).standard_normal((40, DIM))
    return unit((centers[random.integers(40, size=count)] + 0.7 * random.standard_normal((count, DIM))).astype("f4"))


def remember(store: Store, folder: Path, vectors: NDArray[np.float32], first: int = 0) -> None:
    """A row for each vector, by files that are there, `IMG_first.jpg` and so on."""
    store.settle_facts({"dim": str(DIM), "model": "made-up"})
    folder.mkdir(exist_ok=True)
    rows = []
    for number, vector in enumerate(vectors, start=first):
        path = folder / f"IMG_{number:06}.jpg"
        path.touch()
        rows.append(
            PhotoRow(
                root=os.fsencode(folder),
                path=os.fsencode(path),
                stamp=Stamp(0, path.stat().st_mtime_ns),
                sha256=number.to_bytes(32, "big"),
                taken_at=None,
                width=10,
                height=10,
                vector=vector.astype(np.float16),
            )
        )
    store.write(photos=rows)


def nearest(store: Store, query: NDArray[np.float32], k: int) -> list[int]:
    """Ids of the `k` nearest, by comparing with every vector of the store."""
    scored = []
    for ids, blobs in store.vectors():
        scored += [
            (-float(np.frombuffer(blob, np.float16).astype("f4") @ query), int(id_))
            for id_, blob in zip(ids, blobs, strict=True)
        ]
    return [id_ for _, id_ in sorted(scored)[:k]]
