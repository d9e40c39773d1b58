"""k-NN on Imagenette val, fitted on Imagenette train: teacher, bundled model, untrained, raw pixels.

    python benchmarks/imagenette_knn.py IMAGENETTE [--model SPEC] [--report FILE] [--attach]

Protocol `knn@1`: k = 20, cosine, votes weighted at T = 0.07. Training never reads the val split.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import mvmr_zoo
from mvmr_zoo.card import Figure
from mvmr_zoo.catalog import DEFAULT_MODEL
from mvmr_zoo.checkpoint import add_metrics
from mvmr_zoo.datasets import ImageFolder, image_folder
from mvmr_zoo.encoder import Encoder
from mvmr_zoo.evaluate import Report, knn, raw_pixels, share, write_report
from mvmr_zoo.features import embed
from mvmr_zoo.resolve import find_checkpoint
from mvmr_zoo.runtime import TorchEngine

NEIGHBOURS = (20, 1, 5, 200)


def untrained(model: mvmr_zoo.Model, photos: ImageFolder) -> NDArray[np.float32]:
    """Features of the model's architecture at its random start, with the model's preprocessing."""
    torch.manual_seed(0)
    encoder = Encoder(model.card.architecture)
    return embed(TorchEngine(encoder), model.preprocess, photos.paths, dim=encoder.embedding_dim, skip=False).vectors


def main() -> None:
    """Print the table, and write the report where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("imagenette", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--teacher", default="effnet-lite:0")
    parser.add_argument("--report", type=Path, help="write the figures as JSON")
    parser.add_argument("--attach", action="store_true", help="write model's and teacher's into the checkpoint")
    options = parser.parse_args()
    train, val = image_folder(options.imagenette / "train"), image_folder(options.imagenette / "val")
    model, teacher = mvmr_zoo.load(options.model), mvmr_zoo.load(options.teacher)
    rows = {
        f"teacher {teacher.card.name}": lambda photos: teacher.embed(photos.paths),
        model.card.name: lambda photos: model.embed(photos.paths),
        f"{model.card.architecture}, untrained": lambda photos: untrained(model, photos),
        "raw 16 x 16 pixels": lambda photos: raw_pixels(photos.paths),
    }
    print(f"imagenette, {len(train)} train, {len(val)} val; k-NN accuracy\n")
    print(f"{'':<28}{'k = 20':>9}{'k = 1':>9}{'k = 5':>9}{'k = 200':>9}{'images/s':>10}")
    began = time.perf_counter()
    figures: dict[str, Figure] = {}
    source = str(options.report or "")
    for name, features in rows.items():
        started = time.perf_counter()
        bank, queries = features(train), features(val)
        rate = (len(train) + len(val)) / (time.perf_counter() - started)
        for k in NEIGHBOURS:
            predictions = knn(bank, train.labels, queries, val.labels, k=k).predictions
            figures[f"{name}, k = {k}"] = share(predictions == val.labels, source=source)
        values = "".join(f"{figures[f'{name}, k = {k}'].value:9.4f}" for k in NEIGHBOURS)
        print(f"{name:<28}{values}{rate:10.1f}", flush=True)
    ours = figures.pop(f"{model.card.name}, k = 20")
    found = {"imagenette/knn@1": ours}
    if options.attach:
        theirs = {"imagenette/knn@1 of the teacher": figures[f"teacher {teacher.card.name}, k = 20"]}
        add_metrics(find_checkpoint(options.model), found | theirs)
    if options.report:
        write_report(
            options.report,
            Report(
                protocol="knn@1",
                data="imagenette",
                model=model.card.name,
                weights=model.weights_digest,
                preprocess=model.preprocess.digest,
                seed=0,
                seconds=round(time.perf_counter() - began, 1),
                figures=found,
                beside=figures,
            ),
        )


if __name__ == "__main__":
    main()
