"""A library of a million vectors: the tuned index against exact search, single queries on one thread.

    MVMR_DATA=DATA python benchmarks/million_vectors.py --cache FOLDER [--count 1000000]

The vectors are those of `benchmarks/interpolated.py`, and so are the queries, which are in no library. Both indexes are
searched in turn. FOLDER keeps the real vectors.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np
from interpolated import interpolated, real_features
from numpy.typing import NDArray

from mvmr_zoo.images import Stamp
from mvmr_zoo.search import PhotoLibrary, PhotoRow, Store
from mvmr_zoo.search.index import open_index

NEAREST = 10
_ROWS_A_WRITE = 10_000


def remember(folder: Path, vectors: NDArray[np.float16]) -> None:
    """Rows of photos that are nowhere, as `index add` would have written them."""
    with Store(folder) as store:
        store.settle_facts({"dim": str(vectors.shape[1]), "model": "made-up"})
        for first in range(0, len(vectors), _ROWS_A_WRITE):
            store.write(
                photos=(
                    PhotoRow(
                        root=b"/made-up",
                        path=b"/made-up/%08d.jpg" % number,
                        stamp=Stamp(0, 0),
                        sha256=number.to_bytes(32, "big"),
                        taken_at=None,
                        width=224,
                        height=224,
                        vector=vector,
                    )
                    for number, vector in enumerate(vectors[first : first + _ROWS_A_WRITE], start=first)
                )
            )


def main() -> None:
    """Print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("MVMR_DATA"), required="MVMR_DATA" not in os.environ
    )
    options = parser.parse_args()
    real = real_features(options.cache, options.data)
    vectors = interpolated(real, options.count, seed=0)
    queries = interpolated(real, options.queries, seed=1).astype(np.float32)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "library"
        remember(folder, vectors)
        with PhotoLibrary(folder) as library:
            began = time.perf_counter()
            tuning = library.tune(0.99).tuning
            print(f"index made and tuned in {time.perf_counter() - began:.0f} s")
        with Store(folder) as store:
            tuned = open_index(folder, store)
        assert tuning is not None
        assert tuned.manifest is not None
        print(f"{tuning.nprobe} of {tuning.lists} lists; file of {tuned.manifest.size / 1e6:,.0f} MB")
        print(f"recall@10 when tuning: {tuning.chosen.recall:.4f}, at least {tuning.chosen.low:.4f}")
        exact = faiss.index_factory(vectors.shape[1], "IDMap2,Flat", faiss.METRIC_INNER_PRODUCT)
        for first in range(0, len(vectors), _ROWS_A_WRITE):
            part = vectors[first : first + _ROWS_A_WRITE].astype(np.float32)
            exact.add_with_ids(part, np.arange(first + 1, first + 1 + len(part)))  # the store counts from 1
        del vectors
        faiss.omp_set_num_threads(1)
        times: dict[str, list[float]] = {"exact": [], "tuned": []}
        recalls = []
        for query in queries:
            began = time.perf_counter()
            _, ids = exact.search(query[None], NEAREST)
            times["exact"].append(time.perf_counter() - began)
            began = time.perf_counter()
            found = tuned.search(query, NEAREST)
            times["tuned"].append(time.perf_counter() - began)
            recalls.append(len(set(ids[0].tolist()) & set(found.ids.tolist())) / NEAREST)
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        print(f"{name:<6} {1e3 * middle:8.2f} ms a query, {1 / middle:8.1f} queries/s")
    ratio = statistics.median(times["exact"]) / statistics.median(times["tuned"])
    error = statistics.stdev(recalls) / len(recalls) ** 0.5
    print(f"recall@10 {statistics.mean(recalls):.4f} +- {error:.4f}; {ratio:.1f} times the queries a second")


if __name__ == "__main__":
    main()
