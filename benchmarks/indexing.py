"""Index a folder of photos, then again with nothing changed, then killed five times.

    python benchmarks/indexing.py PHOTO-FOLDER [--kills 5]

Prints photos per second and the seconds of each run of `mvmr-zoo index add`, whole process.
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def add(photos: Path, library: Path) -> tuple[float, str]:
    """Seconds of one whole `index add`, and what it printed."""
    began = time.perf_counter()
    done = subprocess.run(command(photos, library), check=True, capture_output=True, text=True)
    return time.perf_counter() - began, done.stdout.splitlines()[0]


def command(photos: Path, library: Path) -> list[str]:
    """The command line of `index add`."""
    return [sys.executable, "-m", "mvmr_zoo.cli", "index", "add", str(photos), "--library", str(library)]


def rows(library: Path) -> dict[bytes, np.ndarray]:
    """Every photo's vector by path."""
    connection = sqlite3.connect(library / "library.sqlite")
    found = connection.execute("SELECT path, vector FROM photos").fetchall()
    connection.close()
    return {path: np.frombuffer(vector, np.float16).astype(np.float32) for path, vector in found}


def killed(photos: Path, library: Path, kills: int, whole_seconds: float) -> dict[bytes, np.ndarray]:
    """The rows after `kills` runs killed at random moments and one to the end."""
    random = np.random.default_rng(0)
    for _ in range(kills):
        process = subprocess.Popen(command(photos, library), stdout=subprocess.DEVNULL)
        time.sleep(float(random.uniform(0.5, whole_seconds / (kills + 1))))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        print(f"killed with {len(rows(library)) if (library / 'library.sqlite').exists() else 0} photos done")
    add(photos, library)
    return rows(library)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--kills", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "whole"
        seconds, line = add(options.photos, whole)
        expected = rows(whole)
        print(f"{line}\n{len(expected) / seconds:.1f} photos/s, {seconds:.1f} s")
        again, line = add(options.photos, whole)
        print(f"{line}\nnothing changed: {again:.2f} s")
        got = killed(options.photos, Path(scratch) / "killed", options.kills, seconds)
        same = got.keys() == expected.keys()
        cosine = min(
            float(got[path] @ vector / np.linalg.norm(got[path]) / np.linalg.norm(vector))
            for path, vector in expected.items()
        )
        print(f"after {options.kills} kills: {len(got)} photos, same rows: {same}, lowest cosine {cosine:.6f}")


if __name__ == "__main__":
    main()
