"""Compare the modes of HOG as a target: `linear`, `hard`, and `released`, that of the paper's released code.

    python benchmarks/hog_modes.py IMAGENETTE/val [--count 1000] [--px 96]

Each mode describes the plain view of the same number of photos of each class. The table shows its length and its
milliseconds per image (the best of seven rounds of 50, one thread). It shows the unbiased distance correlation with
EfficientNet-Lite0's features, with pixels and with classes (one-hot). The last column is the share of photos whose
nearest other photo has the same class. Intervals contain 95 % of the values of random halves of the photos, drawn 300
times (delete-half jackknife). The last lines compare modes on the same draws.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import mvmr_zoo
from mvmr_zoo.datasets import open_images
from mvmr_zoo.images import IMAGENET_MEAN, IMAGENET_STD
from training import Hog
from training.config import ViewConfig
from training.data import plain_view, read_for_views
from training.losses.distance_correlation import centered, correlate, pairwise_distances

TEACHER = "effnet-lite:0"
DRAWS = 300
CHUNK = 50


def normalized(images: Tensor) -> Tensor:
    """Images as the released code normalizes them."""
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (IMAGENET_MEAN, IMAGENET_STD))
    return (images - mean) / std


KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "`linear`": Hog(),
    "`hard`": Hog(mode="hard"),
    "`released`": Hog(mode="released"),
    "`released`, of normalized pixels": lambda images: Hog(mode="released")(normalized(images)),
}


def dependence(ours: Tensor, theirs: Tensor, rows: NDArray[np.int64] | None = None) -> float:
    """The unbiased dCor of two distance matrices `(N, N)`, optionally for some of the photos only."""
    if rows is not None:
        ours, theirs = ours[np.ix_(rows, rows)], theirs[np.ix_(rows, rows)]
    return correlate(centered(ours, "unbiased"), centered(theirs, "unbiased"), estimator="unbiased").item()


def same_class(distances: Tensor, labels: NDArray[np.int64]) -> float:
    """Share of photos whose nearest other photo has the same class."""
    nearest = distances.clone().fill_diagonal_(float("inf")).argmin(dim=1).numpy()
    return float((labels[nearest] == labels).mean())


def milliseconds(kind: Callable[[Tensor], Tensor], images: Tensor) -> float:
    """The best time per image over seven calls."""
    took = []
    for _ in range(7):
        start = time.perf_counter()
        kind(images)
        took.append(time.perf_counter() - start)
    return 1000 * min(took) / len(images)


def main() -> None:
    """Print the table."""
    reading = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reading.add_argument("photos", type=Path)
    reading.add_argument("--count", type=int, default=1000)
    reading.add_argument("--px", type=int, default=96)
    options = reading.parse_args()
    torch.set_num_threads(1)
    data = open_images(str(options.photos))
    each = options.count // len(data.class_names)
    chosen = np.concatenate([np.flatnonzero(data.labels == label)[:each] for label in range(len(data.class_names))])
    labels = data.labels[chosen]
    views = ViewConfig()
    photos = [read_for_views(data, int(row), 2 * options.px) for row in chosen]
    images = torch.stack([plain_view(views, photo, options.px) for photo in photos]).float() / 255
    features = mvmr_zoo.load(TEACHER).embed(photos)
    with torch.no_grad():
        references = {
            "features": pairwise_distances(torch.from_numpy(features)),
            "pixels": pairwise_distances(images.flatten(1)),
            "classes": pairwise_distances(torch.from_numpy(np.eye(len(data.class_names))[labels])),
        }
        described = {name: torch.cat([kind(part) for part in images.split(CHUNK)]) for name, kind in KINDS.items()}
        distances = {name: pairwise_distances(rows) for name, rows in described.items()}
    generator = np.random.default_rng(0)
    draws = [np.sort(generator.permutation(len(chosen))[: len(chosen) // 2]) for _ in range(DRAWS)]
    print("| | length | ms per image | dCor with features | with pixels | with classes | 1-NN |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    of_draws: dict[tuple[str, str], NDArray[np.float64]] = {}
    for name, kind in KINDS.items():
        cells = [f"{described[name].shape[1]:,}", f"{milliseconds(kind, images[:CHUNK]):.2f}"]
        cells += [f"{dependence(distances[name], each):.3f}" for each in references.values()]
        cells.append(f"{same_class(distances[name], labels):.2f}")
        for column, reference in ((2, "features"), (4, "classes")):
            found = np.array([dependence(distances[name], references[reference], rows) for rows in draws])
            of_draws[name, reference] = found
            low, high = np.percentile(found, (2.5, 97.5))
            cells[column] += f" ({low:.3f} to {high:.3f})"
        print(f"| {name} | {' | '.join(cells)} |")
    for name in list(KINDS)[1:]:
        for reference in ("features", "classes"):
            difference = of_draws["`linear`", reference] - of_draws[name, reference]
            low, high = np.percentile(difference, (2.5, 97.5))
            print(f"`linear` minus {name}, with {reference}: {difference.mean():.3f} ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
