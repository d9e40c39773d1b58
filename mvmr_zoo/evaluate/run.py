"""One protocol on one encoder and one data set: from a spec to a report."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mvmr_zoo.card import Figure
from mvmr_zoo.datasets import Splits, open_splits
from mvmr_zoo.errors import ConfigError, closest
from mvmr_zoo.evaluate.cache import cached_features, images_digest
from mvmr_zoo.evaluate.knn import NEIGHBOURS, knn
from mvmr_zoo.evaluate.linear import linear
from mvmr_zoo.evaluate.report import Confusion, Report, mean, share
from mvmr_zoo.evaluate.retrieval import retrieval
from mvmr_zoo.zoo import load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mvmr_zoo.model import Model

_OTHER_NEIGHBOURS = (1, 5, 200)
_WORST = 5


class Measured(NamedTuple):
    """Figures by name, and the label given to each test image; None where none was."""

    figures: dict[str, Figure]
    answers: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Protocol:
    """A protocol as the runner sees it.

    Args:
        name: with its version.
        measure: from an encoder, the splits and a seed to figures.
    """

    name: str
    measure: Callable[[Model, Splits, int], Measured]


def _knn(model: Model, splits: Splits, seed: int) -> Measured:
    train, test = cached_features(model, splits.train), cached_features(model, splits.test)
    results = {
        k: knn(train, splits.train.labels, test, splits.test.labels, k=k) for k in (NEIGHBOURS, *_OTHER_NEIGHBOURS)
    }
    figures = {
        "knn@1" if k == NEIGHBOURS else f"knn@1/k={k}": share(each.answers == splits.test.labels, seed=seed)
        for k, each in results.items()
    }
    return Measured(figures, results[NEIGHBOURS].answers)


def _linear(model: Model, splits: Splits, seed: int) -> Measured:
    train, test = cached_features(model, splits.train), cached_features(model, splits.test)
    found = linear(train, splits.train.labels, test, splits.test.labels, seed=seed)
    return Measured({"linear@1": share(found.answers == splits.test.labels, seed=seed)}, found.answers)


def _retrieval(model: Model, splits: Splits, seed: int) -> Measured:
    found = retrieval(cached_features(model, splits.test), splits.test.labels)
    figures = {"retrieval@1/map": mean(found.precisions, seed=seed)}
    for column, k in enumerate(found.recall):
        figures[f"retrieval@1/recall@{k}"] = share(found.found[:, column], seed=seed)
    return Measured(figures)


PROTOCOLS: dict[str, Protocol] = {
    "knn": Protocol("knn@1", _knn),
    "linear": Protocol("linear@1", _linear),
    "retrieval": Protocol("retrieval@1", _retrieval),
}
"""By the name that the command line takes."""


def evaluate(
    protocol: str, spec: str, data: str, *, root: str | os.PathLike[str] | None = None, seed: int = 0
) -> Report:
    """Measure one encoder by one protocol.

    Args:
        protocol: a name in `PROTOCOLS`.
        spec: of the encoder, as `load` takes it.
        data: of the data set, as `open_splits` takes it.
        root: where named data sets lie.
        seed: of the held-out part of train, of the split of a folder without one, and of the bootstrap.

    Raises:
        ConfigError: no such protocol.
        DataError: the data cannot be used.
        ImageError: an image cannot be read.
    """
    if protocol not in PROTOCOLS:
        near = closest(protocol, PROTOCOLS) or list(PROTOCOLS)
        raise ConfigError(f"No protocol is named {protocol!r}. Closest: {', '.join(near)}.")
    chosen = PROTOCOLS[protocol]
    splits, model = open_splits(data, root, seed=seed), load(spec)
    began = time.perf_counter()
    found = chosen.measure(model, splits, seed)
    return Report(
        protocol=chosen.name,
        data=splits.name,
        model=model.card.name,
        spec=spec,
        weights=model.weights_digest,
        preprocess=model.preprocess.digest,
        images={"train": images_digest(splits.train), "test": images_digest(splits.test)},
        seed=seed,
        seconds=round(time.perf_counter() - began, 1),
        machine=_machine(),
        figures={f"{splits.name}/{name}": figure for name, figure in found.figures.items()},
        beside={},
        confusions=_confusions(splits, found.answers),
    )


def _confusions(splits: Splits, answers: NDArray[np.int64] | None) -> tuple[Confusion, ...]:
    """The pairs of classes that are taken for one another most often, by images."""
    if answers is None:
        return ()
    names, labels = splits.test.class_names, splits.test.labels
    count = np.zeros((len(names), len(names)), np.int64)
    np.add.at(count, (labels, answers), 1)
    np.fill_diagonal(count, 0)
    worst = [int(place) for place in np.argsort(-count, axis=None, kind="stable")[:_WORST]]
    pairs = [divmod(place, len(names)) for place in worst if count.flat[place]]
    return tuple(
        Confusion(names[a], names[b], int(count[a, b]), round(float(count[a, b] / (labels == a).sum()), 4))
        for a, b in pairs
    )


def _machine() -> dict[str, str]:
    versions = {}
    for package in ("mvmr-zoo", "numpy", "faiss-cpu", "onnxruntime", "torch"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"processor": platform.machine(), "cores": str(os.cpu_count()), "system": platform.system(), **versions}
