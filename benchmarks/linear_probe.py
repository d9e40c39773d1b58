"""The sweep of `linear-v1` and the neighbors of `knn-v1` against scikit-learn's, side by side.

    python benchmarks/linear_probe.py [IMAGENETTE]

Linear: 45 strengths on features of Imagenette train (9,469 x 512) by the bundled model, or on clusters of that shape
without the photos; scikit-learn's `LogisticRegression(max_iter=1000)` on the same features and held-out rows.
Neighbors: 50,000 x 512 clusters against 10,000; scikit-learn's `KNeighborsClassifier(metric="cosine",
algorithm="brute", weights=...)`. Peak memory is that of this process.
"""

from __future__ import annotations

import resource
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

import mvmr_zoo
from mvmr_zoo.datasets import held_out_rows, image_folder
from mvmr_zoo.evaluate import HELD_OUT, NEIGHBORS, STRENGTHS, TEMPERATURE, knn
from mvmr_zoo.evaluate.logistic import SWEEP_TOLERANCE, logistic_path

Rows = NDArray[np.float32]


def clusters(rows: int, classes: int, seed: int) -> tuple[Rows, NDArray[np.int64]]:
    """Overlapping clusters in 512 dimensions, and which each row belongs to."""
    random = np.random.default_rng(seed)
    centers = np.random.default_rng(0).standard_normal((classes, 512), np.float32)
    labels = random.integers(0, classes, rows)
    made = random.standard_normal((rows, 512), np.float32)
    made *= 4
    made += centers[labels]
    return made, labels


def compare_sweeps(features: Rows, labels: NDArray[np.int64]) -> None:
    """Both sweeps: seconds, and the held-out accuracy each would choose."""
    features = features / np.sqrt(np.square(features).mean())
    held = held_out_rows(labels, HELD_OUT, seed=0)
    classes = int(labels.max()) + 1
    began = time.perf_counter()
    ours = {
        each.strength: float((each.logits(features[held]).argmax(axis=1) == labels[held]).mean())
        for each in logistic_path(features[~held], labels[~held], classes, STRENGTHS, tolerance=SWEEP_TOLERANCE)
    }
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    theirs = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says where 1,000 steps were too few
        for strength in STRENGTHS:
            fitted = LogisticRegression(C=strength, max_iter=1000).fit(features[~held], labels[~held])
            theirs[strength] = float(fitted.score(features[held], labels[held]))
    other = time.perf_counter() - began
    print(f"sweep of {len(STRENGTHS)} strengths on {features.shape[0]} x {features.shape[1]}, {classes} classes:")
    print(f"  {seconds:.1f} s, scikit-learn {other:.1f} s: {other / seconds:.1f} times")
    print(f"  best held-out accuracy {max(ours.values()):.4f}, scikit-learn {max(theirs.values()):.4f}")


def compare_neighbors() -> None:
    """Both classifiers: seconds, agreement, peak memory after ours."""
    train, labels = clusters(50_000, 100, seed=1)
    test, test_labels = clusters(10_000, 100, seed=2)
    began = time.perf_counter()
    ours = knn(train, labels, test, test_labels)
    seconds = time.perf_counter() - began
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began = time.perf_counter()
    theirs = KNeighborsClassifier(
        NEIGHBORS, metric="cosine", algorithm="brute", weights=lambda distance: np.exp(-distance / TEMPERATURE)
    ).fit(train, labels)
    predictions = theirs.predict(test)
    other = time.perf_counter() - began
    print("k-NN, 50,000 x 512 against 10,000:")
    print(f"  {seconds:.1f} s, scikit-learn {other:.1f} s: {other / seconds:.1f} times; peak memory {peak_mb:.0f} MB")
    print(f"  same answers {(predictions == ours.predictions).mean():.4f}")


def main() -> None:
    """Print both comparisons; memory first, before anything else has been in it."""
    compare_neighbors()
    if len(sys.argv) > 1:
        photos = image_folder(Path(sys.argv[1]) / "train")
        compare_sweeps(mvmr_zoo.load().embed(photos.paths, normalize=False), photos.labels)
    else:
        compare_sweeps(*clusters(9_469, 10, seed=3))


if __name__ == "__main__":
    main()
