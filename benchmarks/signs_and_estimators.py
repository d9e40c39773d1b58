"""What the representations' sign and the estimator of dCor do: 10,000 images of CIFAR-10, ResNet-8.

    python benchmarks/signs_and_estimators.py CIFAR10 --output FOLDER [--epochs 10] [--seeds 0 1 2] [--arms NAME ...]

CIFAR10 is a folder with `train-00000-of-00001.parquet` and `test-00000-of-00001.parquet`. All arms share
`training/recipes/cifar10.yaml`, the images, their order and augmentation, and the epochs. Accuracy is on the
whole test split: k-NN (`knn-v1`) among the training images, and a logistic regression on their standardized
features. Finished arms are kept in the folder, so the table can be made in several
goes; other --epochs need another folder.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import mvmr_zoo
from mvmr_zoo.datasets import ImageSet, embed_images, open_images
from mvmr_zoo.evaluate import knn

NO_REPRESENTATIONS = {"representations.terms": "[]"}
UNBIASED = {"loss.estimator": "unbiased"}
ARMS: dict[str, dict[str, object]] = {
    "no representations": NO_REPRESENTATIONS,
    "five representations, the paper's sign": {},
    "five representations, the released sign": {"representations.sign": "released"},
    "five representations, the paper's sign, unbiased": UNBIASED,
    "no representations, unbiased": {**NO_REPRESENTATIONS, **UNBIASED},
    "five representations, the released sign, unbiased": {"representations.sign": "released", **UNBIASED},
}
"""What each arm changes."""

IMAGES = 10_400
"""10,000 to train on, and the monitor's."""
CONFIG = Path(__file__).parents[1] / "training" / "recipes" / "cifar10.yaml"


def train(name: str, seed: int, data: Path, output: Path, epochs: float) -> Path:
    """Train one arm, and return its checkpoint folder."""
    arm = f"{name}, seed {seed}".replace(", ", "-").replace(" ", "-").replace("'", "")
    options = {
        "data.train": f"parquet:{data}",
        "data.limit": 10_000,
        "data.cache": output / "cache",
        "run.output": output / arm,
        "run.name": "encoder",
        "run.seed": seed,
        "optim.epochs": epochs,
        "monitor.knn_every_epochs": 0,
        "monitor.linear_lr": 0,
        **ARMS[name],
    }
    checkpoint = output / arm / "encoder"
    if not checkpoint.exists():
        arguments = [f"--{key}={value}" for key, value in options.items()]
        command = [sys.executable, "-m", "training.pretrain", "--config", CONFIG, "--resume", *arguments]
        subprocess.run(command, check=True)
    return checkpoint


def features(checkpoint: Path, images: ImageSet) -> NDArray[np.float32]:
    """Features of all images, not normalized."""
    model = mvmr_zoo.load(checkpoint)
    return embed_images(model.engine, model.preprocess, images, range(len(images)), dim=model.dim)


def accuracies(checkpoint: Path, train_set: ImageSet, test: ImageSet) -> tuple[float, float]:
    """K-NN and linear accuracy on the test images."""
    bank, queries = features(checkpoint, train_set), features(checkpoint, test)
    near = knn(bank, train_set.labels, queries, test.labels).accuracy
    scaler = StandardScaler().fit(bank)
    probe = LogisticRegression(max_iter=1000).fit(scaler.transform(bank), train_set.labels)
    return near, float(probe.score(scaler.transform(queries), test.labels))


def main() -> None:
    """Train the arms that are missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cifar10", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--epochs", type=float, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    options = parser.parse_args()
    subset = options.output / "train.parquet"
    if not subset.exists():
        options.output.mkdir(parents=True, exist_ok=True)
        pq.write_table(pq.read_table(options.cifar10 / "train-00000-of-00001.parquet").slice(0, IMAGES), subset)
    train_set = open_images(f"parquet:{subset}")
    test = open_images(f"parquet:{options.cifar10 / 'test-00000-of-00001.parquet'}")
    lines = []
    for name in options.arms:
        found = []
        for seed in options.seeds:
            checkpoint = train(name, seed, subset, options.output, options.epochs)
            kept = checkpoint.with_name("accuracies.json")
            if not kept.exists():
                kept.write_text(json.dumps(accuracies(checkpoint, train_set, test)))
            found.append(json.loads(kept.read_text()))
        shown = [
            f"{statistics.mean(column):.3f}" + (f" ± {statistics.stdev(column):.3f}" if len(column) > 1 else "")
            for column in zip(*found, strict=True)
        ]
        lines.append(f"| {name} | {' | '.join(shown)} |")
        print(lines[-1], flush=True)
    seeds = ", ".join(map(str, options.seeds))
    print(f"\n{options.epochs:g} epochs, seeds {seeds}\n\n| | k-NN | linear |\n| --- | --- | --- |", *lines, sep="\n")


if __name__ == "__main__":
    main()
