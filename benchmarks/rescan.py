"""A second `index add` of a folder in which nothing changed: files a second.

    python benchmarks/rescan.py [--files 50000] [--rounds 5]

The library knows every file already; the rows are written without decoding, so that only scanning is timed. Beside it,
what `os.walk` with a stat of every file takes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import timeit
from pathlib import Path

import numpy as np

from mvmr_zoo.images import Stamp
from mvmr_zoo.search import PhotoLibrary, PhotoRow, Store

FILES_A_FOLDER = 500


def write_files(root: Path, count: int) -> list[Path]:
    """Empty files named like photos, 500 a folder."""
    paths = []
    for number in range(count):
        folder = root / f"{number // FILES_A_FOLDER:04}"
        if number % FILES_A_FOLDER == 0:
            folder.mkdir(parents=True)
        paths.append(folder / f"IMG_{number:06}.jpg")
        paths[-1].touch()
    return paths


def remember(library: Path, root: Path, paths: list[Path]) -> None:
    """Rows of all files, as an earlier `index add` would have written them."""
    vector = np.zeros(512, np.float16)
    vector[0] = 1
    with Store(library) as store:
        rows = []
        for number, path in enumerate(paths):
            facts = path.stat()
            rows.append(
                PhotoRow(
                    root=os.fsencode(root),
                    path=os.fsencode(path),
                    stamp=Stamp(facts.st_size, facts.st_mtime_ns),
                    sha256=number.to_bytes(32, "big"),
                    taken_at=None,
                    width=100,
                    height=100,
                    vector=vector,
                )
            )
        store.write(photos=rows)
        store.settle_facts({"dim": "512"})


def walk(root: Path) -> int:
    """How many files `os.walk` finds, each with a stat."""
    return sum(1 for folder, _, names in os.walk(root) for name in names if os.stat(os.path.join(folder, name)))  # noqa: PTH118


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root, folder = Path(scratch).resolve() / "photos", Path(scratch) / "library"
        remember(folder, root, write_files(root, options.files))
        with PhotoLibrary(folder) as library:
            report = library.add([root])
            assert (report.unchanged, report.added) == (options.files, 0), report
            runs = {"index add": lambda: library.add([root]), "os.walk with stat": lambda: walk(root)}
            rounds = [[timeit.timeit(run, number=1) for run in runs.values()] for _ in range(options.rounds)]
    for name, times in zip(runs, zip(*rounds, strict=True), strict=True):
        median = statistics.median(times)
        print(f"{name:<18} {median:.2f} s, {options.files / median:,.0f} files/s")


if __name__ == "__main__":
    main()
