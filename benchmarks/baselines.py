"""Baselines for an encoder: the same network with random weights, and raw pixels.

    python benchmarks/baselines.py knn DATA [--data-root ROOT] [--model SPEC] [--output reports]

The protocol is `knn` or `retrieval`. DATA is the name of a data set, or `folder:PHOTOS`. `mvmr-zoo eval` measures the
model itself and encoders of other projects.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import mvmr_zoo
from mvmr_zoo._io import write_whole
from mvmr_zoo.architectures import Encoder
from mvmr_zoo.datasets import ImageSet, open_splits
from mvmr_zoo.evaluate import (
    PROTOCOLS,
    RAW_PIXELS,
    HashedSplits,
    Options,
    Report,
    figures,
    hash_splits,
    knn,
    machine,
    means_of,
    measure,
    raw_pixels,
    report_markdown,
    retrieval,
    write_report,
)
from mvmr_zoo.inference import TorchEngine
from mvmr_zoo.models import BUNDLED_MODEL


def untrained(model: mvmr_zoo.Model) -> mvmr_zoo.Model:
    """The features of the model's architecture with random weights (seed 0) and the model's preprocessing."""
    torch.manual_seed(0)
    encoder = Encoder(model.card.architecture)
    digest = hashlib.sha256()
    for tensor in encoder.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    name = f"{model.card.name}, untrained"
    card = replace(model.card, name=name, published={}, measured={})
    return mvmr_zoo.Model(
        "", card, TorchEngine(encoder), digest.hexdigest(), functools.partial(Encoder, card.architecture)
    )


def of_pixels(protocol: str, splits: HashedSplits) -> Report:
    """Measure raw pixels by `knn` or `retrieval`."""
    began = time.perf_counter()
    test, labels = _pixels(splits.test), splits.test.labels
    if protocol == "knn":
        answers = knn(_pixels(splits.train), splits.train.labels, test, labels).answers
        values = {"knn-v1": answers == labels}
    else:
        values = {"retrieval-v1/map": retrieval(test, labels).precisions}
    return Report(
        protocol=f"{protocol}-v1",
        data=splits.name,
        model=RAW_PIXELS,
        weights="",
        preprocess="",
        dim=test.shape[1],
        seed=0,
        seconds=round(time.perf_counter() - began, 1),
        images={"train": splits.train_digest, "test": splits.test_digest},
        machine=machine(),
        figures=figures(means_of({f"{splits.name}/{name}": each for name, each in values.items()})),
    )


def _pixels(images: ImageSet) -> NDArray[np.float32]:
    return raw_pixels(images.image(row) for row in range(len(images)))


def main() -> None:
    """Write a report of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("protocol", choices=("knn", "retrieval"))
    parser.add_argument("data")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--model", default=BUNDLED_MODEL)
    parser.add_argument("--output", type=Path, default=Path("reports"))
    options = parser.parse_args()
    splits, model = hash_splits(open_splits(options.data, options.data_root)), mvmr_zoo.load(options.model)
    reports = {
        "untrained": measure(PROTOCOLS[options.protocol], "", untrained(model), splits, Options()).report,
        "pixels": of_pixels(options.protocol, splits),
    }
    for name, report in reports.items():
        path = options.output / f"{name}-{report.data}-{options.protocol}.json"
        write_report(path, report)
        write_whole(path.with_suffix(".md"), report_markdown(report))
        print(f"{path}: {next(iter(report.figures.values()))}")


if __name__ == "__main__":
    main()
