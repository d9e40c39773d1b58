"""The peak memory of `mvmr-zoo index add`, for few photos and for many.

    python benchmarks/indexing_memory.py PHOTO-FOLDER [--counts 2000 9000]

PHOTO-FOLDER must hold the largest number of photos. Each command is a process of its own; its peak is what the kernel
reports (`ru_maxrss`). What the index takes is the photos times D times four bytes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from mvmr_zoo.search import PhotoLibrary


def peak_mb(photos: Path, library: Path) -> float:
    """Of one whole `index add`."""
    command = [sys.executable, "-m", "mvmr_zoo.cli", "index", "add", str(photos), "-L", str(library)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"index add of {photos} ended with {process.returncode}")
    return usage.ru_maxrss * 1024 / 1e6


def main() -> None:
    """Print the peaks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[2000, 9000])
    options = parser.parse_args()
    files = sorted(path for path in options.photos.resolve().rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    files = files[:: max(1, len(files) // max(options.counts))]
    peaks, indexes = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for count in options.counts:
            some, library = Path(scratch) / f"photos-{count}", Path(scratch) / f"library-{count}"
            some.mkdir()
            for number, path in enumerate(files[:count]):
                (some / f"{number:06}.jpg").symlink_to(path)
            peaks.append(peak_mb(some, library))
            with PhotoLibrary(library) as opened:
                index = opened.status().index
            assert index is not None
            assert index.rows >= 0.99 * count
            indexes.append(index.rows * index.dim * 4 / 1e6)
            print(f"{count:>7,} photos: peak {peaks[-1]:7.1f} MB, of which the index {indexes[-1]:6.1f} MB", flush=True)
    grown = peaks[-1] - peaks[0]
    print(f"grown by {grown:.1f} MB, the index by {indexes[-1] - indexes[0]:.1f} MB")


if __name__ == "__main__":
    main()
