"""A library of 100,000 photos, searched by file in a warm process: what searching adds to inference.

    MVMR_DATA=DATA python benchmarks/library_search.py --cache FOLDER [--count 100000] [--queries 200]

The library's vectors are those of `benchmarks/interpolated.py`; its files are there and empty. The queries are JPEGs of
Imagenette's validation part. Each is embedded alone, then searched with, which embeds it too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from interpolated import interpolated, real_features

import mvmr_zoo
from mvmr_zoo.images import Stamp
from mvmr_zoo.search import PhotoLibrary, PhotoRow, Store, bind

FILES_A_FOLDER = 1_000


def fill(folder: Path, photos: Path, vectors: np.ndarray) -> None:
    """A library of empty files with these vectors, bound to the bundled encoder."""
    with Store(folder) as store:
        bind(store, mvmr_zoo.load())
        rows = []
        for number, vector in enumerate(vectors):
            path = photos / f"{number // FILES_A_FOLDER:04}" / f"IMG_{number:06}.jpg"
            if number % FILES_A_FOLDER == 0:
                path.parent.mkdir(parents=True)
            path.touch()
            rows.append(
                PhotoRow(
                    root=os.fsencode(photos),
                    path=os.fsencode(path),
                    stamp=Stamp(0, path.stat().st_mtime_ns),
                    sha256=number.to_bytes(32, "big"),
                    taken_at=None,
                    width=224,
                    height=224,
                    vector=vector,
                )
            )
        store.write(photos=rows)


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("MVMR_DATA"), required="MVMR_DATA" not in os.environ
    )
    options = parser.parse_args()
    vectors = interpolated(real_features(options.cache, options.data), options.count, seed=0)
    photos = sorted((Path(options.data) / "imagenette/val").rglob("*.JPEG"))
    asked = [photos[number] for number in np.random.default_rng(0).permutation(len(photos))[: options.queries]]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve() / "library"
        fill(folder, Path(scratch).resolve() / "photos", vectors)
        with PhotoLibrary(folder) as library:
            library.prune()  # makes the index
            began = time.perf_counter()
            library.search(asked[0])
            print(f"first search, model and index loaded: {1e3 * (time.perf_counter() - began):.0f} ms")
            alone, searched = [], []
            for photo in asked:
                began = time.perf_counter()
                library.model.embed(photo)
                alone.append(time.perf_counter() - began)
                began = time.perf_counter()
                assert len(library.search(photo)) == 10
                searched.append(time.perf_counter() - began)
    more = [with_search - inference for with_search, inference in zip(searched, alone, strict=True)]
    for name, seconds in (("inference alone", alone), ("search by file", searched), ("search adds", more)):
        p50, p95 = statistics.median(seconds), statistics.quantiles(seconds, n=20)[-1]
        print(f"{name:<16} p50 {1e3 * p50:6.1f} ms, p95 {1e3 * p95:6.1f} ms")


if __name__ == "__main__":
    main()
