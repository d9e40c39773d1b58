"""Leave-one-out retrieval of dev vectors, in processes beside the training. They need not import PyTorch."""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvmr_zoo._io import write_whole
from mvmr_zoo.evaluate import retrieval

Vectors = dict[str, dict[str, NDArray[np.float32]]]
"""By dev set and output, `features` or `aligned`: `(N, D)`."""
Labels = dict[str, NDArray[np.int64]]
"""By dev set: `(N,)`."""


def background(processes: int) -> ProcessPoolExecutor:
    """Processes in which retrieval is measured while the device trains on. One process takes its tasks in order."""
    return ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))


def append_figures(path: Path, facts: dict[str, Any], vectors: Vectors, labels: Labels) -> None:
    """Append a line to the curve of a run, with the mAP of every output on every dev set."""
    line = json.dumps(facts | {"map": _figures(vectors, labels)})
    with path.open("a") as file:
        file.write(line + "\n")


def write_arm(path: Path, facts: dict[str, Any], vectors: dict[str, Vectors], labels: Labels) -> None:
    """Write the file of an arm, with the mAP of each kind of weights."""
    figures = {weights: _figures(found, labels) for weights, found in vectors.items()}
    write_whole(path, json.dumps(facts | {"map": figures}, indent=1).encode())


def _figures(vectors: Vectors, labels: Labels) -> dict[str, dict[str, float]]:
    return {
        name: {output: round(retrieval(rows, labels[name]).mean_average_precision, 4) for output, rows in each.items()}
        for name, each in vectors.items()
    }
