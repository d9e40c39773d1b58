"""`mvmr-zoo index build` over an embeddings folder of a million vectors: seconds, peak memory, bytes, recall, speed.

    MVMR_DATA=DATA python benchmarks/shard_index.py --cache FOLDER [--count 1000000]

The vectors and the queries are those of `benchmarks/interpolated.py`. The build is a process of its own, whose peak
memory is what the kernel reports; pages of mapped files count in it. Queries are searched one at a time on one thread,
in turn with exact search.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
from interpolated import interpolated, real_features
from numpy.typing import NDArray

from mvmr_zoo.embed.folder import EmbeddingsFacts, write_embeddings
from mvmr_zoo.search import MappedFolder
from mvmr_zoo.search.index import INDEX, LISTS_FILE, nearest, read_index, read_ivfpq

NEAREST = 10
SHARD_ROWS = 100_000
_ROWS_A_BATCH = 10_000


def batches(vectors: NDArray[np.float16]) -> Iterator[tuple[NDArray[np.float32], list[str]]]:
    """Vectors with paths of photos that are nowhere."""
    for first in range(0, len(vectors), _ROWS_A_BATCH):
        part = vectors[first : first + _ROWS_A_BATCH].astype(np.float32)
        yield part, [f"/made-up/{first + row:09}.jpg" for row in range(len(part))]


def build(folder: Path) -> None:
    """Run `mvmr-zoo index build`, and print its seconds and peak."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "mvmr_zoo.cli", "index", "build", "--from", str(folder)]
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"index build ended with {process.returncode}")
    print(f"built in {time.perf_counter() - began:.0f} s, peak {usage.ru_maxrss * 1024 / 1e6:,.0f} MB", flush=True)


def main() -> None:
    """Print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("MVMR_DATA"), required="MVMR_DATA" not in os.environ
    )
    options = parser.parse_args()
    real = real_features(options.cache, options.data)
    vectors = interpolated(real, options.count, seed=0)
    queries = interpolated(real, options.queries, seed=1).astype(np.float32)
    facts = EmbeddingsFacts(
        model="made-up", weights_digest="", preprocess_digest="", dim=vectors.shape[1], normalized=True
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "embeddings"
        write_embeddings(folder, batches(vectors), facts, shard_rows=SHARD_ROWS)
        build(folder)
        mapped, nprobe = MappedFolder(folder), read_ivfpq(folder).tuning.nprobe
        place = folder / INDEX
        index = read_index(place / LISTS_FILE, mapped=True)
        print(f"{(place / LISTS_FILE).stat().st_size / options.count:.0f} bytes a vector, beside its own on the disk")
        exact = faiss.IndexFlatIP(vectors.shape[1])
        for first in range(0, len(vectors), _ROWS_A_BATCH):
            exact.add(vectors[first : first + _ROWS_A_BATCH].astype(np.float32))
        faiss.omp_set_num_threads(1)
        times: dict[str, list[float]] = {"exact": [], "IVF-PQ": []}
        recalls = []
        for query in queries:
            began = time.perf_counter()
            _, ids = exact.search(query[None], NEAREST)
            times["exact"].append(time.perf_counter() - began)
            began = time.perf_counter()
            _, rows = nearest(mapped, index, query[None], NEAREST, nprobe)
            times["IVF-PQ"].append(time.perf_counter() - began)
            recalls.append(len(set(ids[0].tolist()) & set(rows[0].tolist())) / NEAREST)
    for name, seconds in times.items():
        print(f"{name:<6} {1e3 * statistics.median(seconds):8.2f} ms a query")
    error = statistics.stdev(recalls) / len(recalls) ** 0.5
    print(f"recall@10 {statistics.mean(recalls):.4f} +- {error:.4f}")


if __name__ == "__main__":
    main()
