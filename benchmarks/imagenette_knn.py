"""k-NN on Imagenette val, fitted on Imagenette train: teacher, bundled model, untrained, raw pixels.

    python benchmarks/imagenette_knn.py IMAGENETTE [--model SPEC] [--report FILE] [--attach]

Protocol `knn@1`: k = 20, cosine, votes weighted at T = 0.07. Training never reads the val split.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import mvmr_zoo
from mvmr_zoo.catalog import DEFAULT_MODEL
from mvmr_zoo.checkpoint import CARD_FILE, add_metrics, read_checkpoint
from mvmr_zoo.datasets import ImageFolder, image_folder
from mvmr_zoo.encoder import Encoder
from mvmr_zoo.evaluate import knn, raw_pixels
from mvmr_zoo.features import embed
from mvmr_zoo.runtime import TorchEngine
from mvmr_zoo.zoo import find_checkpoint
from training.finish import model_card


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
    figures: dict[str, dict[str, float]] = {}
    for name, features in rows.items():
        began = time.perf_counter()
        bank, queries = features(train), features(val)
        rate = (len(train) + len(val)) / (time.perf_counter() - began)
        figures[name] = {
            f"k={k}": round(knn(bank, train.labels, queries, val.labels, k=k).accuracy, 4) for k in (20, 1, 5, 200)
        }
        print(
            f"{name:<28}" + "".join(f"{value:9.4f}" for value in figures[name].values()) + f"{rate:10.1f}", flush=True
        )
    if options.attach:
        ours, theirs = figures[model.card.name]["k=20"], figures[f"teacher {teacher.card.name}"]["k=20"]
        attach(options.model, {"imagenette/knn@1": ours, "imagenette/knn@1 of the teacher": theirs})
    if options.report:
        report = {
            "protocol": "knn@1",
            "data": {"name": "imagenette", "train": len(train), "val": len(val)},
            "model": model.card.name,
            "weights": model.weights_digest,
            "preprocess": model.preprocess.digest,
            "accuracy": figures,
        }
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text(json.dumps(report, indent=2) + "\n")


def attach(spec: str, metrics: dict[str, float]) -> None:
    """Write figures into a checkpoint's `config.json` and its card."""
    checkpoint = find_checkpoint(spec)
    add_metrics(checkpoint, metrics)
    card = model_card(read_checkpoint(checkpoint.folder).config)
    (checkpoint.folder / CARD_FILE).write_text(card, encoding="utf-8")


if __name__ == "__main__":
    main()
