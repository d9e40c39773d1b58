"""What an encoder must beat, by `knn-v1`: the same network untrained, and raw pixels.

    python benchmarks/baselines.py DATA-ROOT [--data imagenette] [--model SPEC] [--output reports]

The model itself, and other people's encoders such as its teacher, are measured by `mvmr-zoo eval knn`.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import time
from dataclasses import replace
from pathlib import Path

import torch

import mvmr_zoo
from mvmr_zoo._io import write_whole
from mvmr_zoo.architectures import Encoder
from mvmr_zoo.datasets import ImageFolder, Splits, open_splits
from mvmr_zoo.evaluate import (
    PROTOCOLS,
    Options,
    Report,
    figure,
    images_digest,
    knn,
    machine,
    mean_of,
    measure,
    raw_pixels,
    report_markdown,
    write_report,
)
from mvmr_zoo.inference import TorchEngine
from mvmr_zoo.models import BUNDLED_MODEL


def untrained(model: mvmr_zoo.Model) -> mvmr_zoo.Model:
    """The model's architecture at its random start, seed 0, with the model's preprocessing."""
    torch.manual_seed(0)
    encoder = Encoder(model.card.architecture)
    digest = hashlib.sha256()
    for tensor in encoder.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    name = f"{model.card.architecture}, untrained"
    card = replace(model.card, name=name, published={}, measured={})
    return mvmr_zoo.Model(
        "", card, TorchEngine(encoder), digest.hexdigest(), functools.partial(Encoder, card.architecture)
    )


def of_pixels(splits: Splits) -> Report:
    """Raw pixels by `knn-v1`."""
    assert isinstance(splits.train, ImageFolder)
    assert isinstance(splits.test, ImageFolder)
    began = time.perf_counter()
    train, test = raw_pixels(splits.train.paths), raw_pixels(splits.test.paths)
    found = knn(train, splits.train.labels, test, splits.test.labels)
    return Report(
        protocol="knn-v1",
        data=splits.name,
        model="raw 16 x 16 pixels",
        weights="",
        preprocess="",
        seed=0,
        seconds=round(time.perf_counter() - began, 1),
        images={"train": images_digest(splits.train), "test": images_digest(splits.test)},
        machine=machine(),
        figures={f"{splits.name}/knn-v1": figure(mean_of(found.answers == splits.test.labels))},
    )


def main() -> None:
    """Write a report of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--data", default="imagenette")
    parser.add_argument("--model", default=BUNDLED_MODEL)
    parser.add_argument("--output", type=Path, default=Path("reports"))
    options = parser.parse_args()
    splits, model = open_splits(options.data, options.root), mvmr_zoo.load(options.model)
    reports = {
        "untrained": measure(PROTOCOLS["knn"], "", untrained(model), splits, Options()).report,
        "pixels": of_pixels(splits),
    }
    for name, report in reports.items():
        path = options.output / f"{name}-{report.data}-knn.json"
        write_report(path, report)
        write_whole(path.with_suffix(".md"), report_markdown(report))
        print(f"{path}: {report.figures[f'{report.data}/knn-v1']}")


if __name__ == "__main__":
    main()
