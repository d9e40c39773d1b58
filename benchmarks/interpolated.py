"""Many vectors made from few real ones, by interpolating between neighbors, and how alike their geometry is.

    MVMR_DATA=DATA python benchmarks/interpolated.py --cache FOLDER [--count 1000000]

The real ones are the bundled encoder's unit vectors of all Imagenette photos and CIFAR-10 images in DATA, made once and
kept in FOLDER. Prints the intrinsic dimension of both, by two estimators that it first checks on Gaussians. An estimate
depends on how many vectors there are, so both are compared at the same sample sizes; what all the made ones together
give is printed too. Other benchmarks import `real_features` and `interpolated`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import mvmr_zoo
from mvmr_zoo._io import progress_bar
from mvmr_zoo.embed import embed_source, open_source
from mvmr_zoo.embed.folder import read_embeddings
from mvmr_zoo.inference import unit
from mvmr_zoo.search.index import faiss_library

SOURCES = {
    "imagenette-train": "{data}/imagenette/train",
    "imagenette-val": "{data}/imagenette/val",
    "cifar10-train": "parquet:{data}/cifar10/train-00000-of-00001.parquet",
    "cifar10-test": "parquet:{data}/cifar10/test-00000-of-00001.parquet",
}
NEIGHBORS = 48
"""K of `interpolated`. With 16 to 32 the made vectors' dimension is too low; more are no neighbors any longer."""

WITHIN = 0.2
MLE_NEIGHBORS = 20
QUERIES = 5_000

_IDENTICAL = 1e-3  # distance of unit vectors: copies of an image tell nothing of the dimension
_CHUNK = 1_024


class IntrinsicDimension(NamedTuple):
    """By TwoNN and by maximum likelihood, and the median distance of a vector to its nearest."""

    two_nn: float
    mle: float
    nearest: float


def real_features(cache: Path, data: Path) -> NDArray[np.float32]:
    """`(N, D)` unit vectors of every image in `data`; embedded where `cache` does not have them."""
    model = mvmr_zoo.load()
    parts: list[NDArray[np.float32]] = []
    for name, source in SOURCES.items():
        with progress_bar(name) as progress:
            embed_source(open_source(source.format(data=data)), model, cache / name, progress=progress)
        parts += [np.asarray(shard, np.float32) for shard in read_embeddings(cache / name).shards]
    return unit(np.concatenate(parts))


def interpolated(real: NDArray[np.float32], count: int, seed: int) -> NDArray[np.float16]:
    """`(count, D)` unit vectors about those of `real`, towards and away from their neighbors.

    Of a random x and its K nearest n_j, with standard normal g_j: x + sum_j g_j (n_j - x) / sqrt(K), scaled to unit
    length. About x its covariance is the neighbors' second moment. Weights that are positive and sum to 1 would draw
    everything to the neighbors' means: tried with 1 to 64 of 1 to 128 neighbors, such vectors lie about half as far
    from each other as real ones do, in seven tenths of their dimensions at most.

    Args:
        real: `(N, D)` unit vectors.
        count: how many to make.
        seed: of the random numbers; another one gives queries of the same law.
    """
    made = np.empty((count, real.shape[1]), np.float16)
    random = np.random.default_rng(seed)
    homes = random.integers(len(real), size=count)
    used, home_of = np.unique(homes, return_inverse=True)
    near = nearest(real, real[used], NEIGHBORS + 1).ids[:, 1:]  # the first is the vector itself
    for first in range(0, count, _CHUNK):
        rows = slice(first, first + _CHUNK)
        weights = random.standard_normal((len(homes[rows]), 1, NEIGHBORS), np.float32) / np.float32(NEIGHBORS**0.5)
        between = (weights @ real[near[home_of[rows]]])[:, 0]
        made[rows] = unit(between + (1 - weights.sum(axis=2)) * real[homes[rows]])
    return made


class Nearest(NamedTuple):
    """Distances and row numbers of each query's nearest vectors, the nearest first: both `(Q, K)`."""

    distances: NDArray[np.float32]
    ids: NDArray[np.int64]


def nearest(vectors: NDArray[np.floating], queries: NDArray[np.floating], k: int) -> Nearest:
    """The `k` of `(N, D)` vectors nearest to each of `(Q, D)` queries, exactly, in L2."""
    index = faiss_library().IndexFlatL2(vectors.shape[1])
    for part in _parts(vectors):
        index.add(part)
    found = [index.search(part, k) for part in _parts(queries)]
    squares, ids = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Nearest(np.sqrt(np.maximum(squares, 0)), ids)


def _parts(vectors: NDArray[np.floating]) -> Iterator[NDArray[np.float32]]:
    return (np.ascontiguousarray(vectors[i : i + 16_384], np.float32) for i in range(0, len(vectors), 16_384))


def intrinsic_dimension(vectors: NDArray[np.floating], *, seed: int = 0) -> IntrinsicDimension:
    """Of `(N, D)` vectors: averaged over 5,000 of them, whose neighbors are sought among all."""
    asked = np.random.default_rng(seed).permutation(len(vectors))[:QUERIES]
    distances = nearest(vectors, vectors[asked], MLE_NEIGHBORS + 1).distances[:, 1:]
    distances = distances[distances[:, 0] > _IDENTICAL].astype(np.float64)
    return IntrinsicDimension(two_nn(distances), levina_bickel(distances), float(np.median(distances[:, 0])))


def two_nn(distances: NDArray[np.float64], keep: float = 0.9) -> float:
    """The intrinsic dimension, from the ratios of the distances to the second and the first neighbor.

    -log(1 - F(mu)) = d log(mu): a line through zero fitted to the smallest nine tenths of the ratios, as Facco et al.
    do (Scientific Reports 2017, 7, 12140).

    Args:
        distances: `(Q, K)` ascending, above 0; two columns are read.
        keep: share of the ratios that the line is fitted to.
    """
    logs = np.sort(np.log(distances[:, 1] / distances[:, 0]))
    fitted = int(keep * len(logs))
    heights = -np.log1p(-np.arange(1, fitted + 1) / len(logs))
    return float(logs[:fitted] @ heights / (logs[:fitted] @ logs[:fitted]))


def levina_bickel(distances: NDArray[np.float64]) -> float:
    """The intrinsic dimension by maximum likelihood: Levina and Bickel, NIPS 2004.

    The estimates of all points are averaged by their inverses, as MacKay and Ghahramani's comment of 2005 has it.

    Args:
        distances: `(Q, K)` ascending, above 0.
    """
    inverses = np.log(distances[:, -1:] / distances[:, :-1]).mean(axis=1)
    return float(1 / inverses.mean())


def check_estimators() -> None:
    """Gaussians of 5 and 10 dimensions, turned into 64, are found to have 5 and 10, give or take 15 %."""
    random = np.random.default_rng(0)
    for dim in (5, 10):
        turn = np.linalg.qr(random.standard_normal((64, dim)))[0]
        found = intrinsic_dimension(random.standard_normal((20_000, dim)) @ turn.T)
        print(f"Gaussian of {dim:>2} dimensions           {found.two_nn:5.1f}  {found.mle:5.1f}")
        assert all(abs(estimate / dim - 1) < 0.15 for estimate in found[:2]), found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=os.environ.get("MVMR_DATA"), help="default: $MVMR_DATA")
    options = parser.parse_args()
    if options.data is None:
        parser.error("give --data, or set MVMR_DATA")
    print("                                 TwoNN    MLE  distance to the nearest")
    check_estimators()
    real = real_features(options.cache, options.data)
    made = interpolated(real, options.count, seed=0)
    order = np.random.default_rng(1).permutation(len(real))
    worst = 0.0
    for size in (5_000, 20_000, len(real)):
        pair = [intrinsic_dimension(real[order[:size]]), intrinsic_dimension(made[:size])]
        for name, found in zip(("real", "made"), pair, strict=True):
            print(f"{name}, {size:>9,} vectors         {found.two_nn:5.1f}  {found.mle:5.1f}  {found.nearest:.3f}")
        apart = [made_one / real_one - 1 for real_one, made_one in zip(*(found[:2] for found in pair), strict=True)]
        worst = max(worst, *map(abs, apart))
        print(f"      made against real         {apart[0]:+5.1%} {apart[1]:+5.1%}", flush=True)
    found = intrinsic_dimension(made)
    print(f"made, {len(made):>9,} vectors         {found.two_nn:5.1f}  {found.mle:5.1f}  {found.nearest:.3f}")
    print(f"within {WITHIN:.0%} at every size: {worst <= WITHIN} (furthest {worst:.1%})")


if __name__ == "__main__":
    main()
