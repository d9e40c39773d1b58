"""Which terms teach a student fastest: Imagenette val k-NN of short runs, each over equally many views.

    python benchmarks/distillation_terms.py IMAGENETTE --output FOLDER [--views 18000] [--arms NAME ...]

A view is one image through the student, forward and backward: an arm that reads two views of a photo sees
half as many photos, and one at 48 px 1.8 times as many, so all arms take about the same time. ResNet-18 at
64 px from random weights, one seed; only what an arm names differs. The val split is read once an arm, after
training, by `knn-v1`. Finished arms are kept in the folder, so the table can be made in several goes;
another --views needs another folder.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import mvmr_zoo
from mvmr_zoo.datasets import ImageFolder, image_folder
from mvmr_zoo.evaluate import knn

OFF = {"loss.invariance": 0, "loss.variance": 0, "loss.views": 0, "loss.teacher": 0, "loss.regression": 0}
COSINE = {**OFF, "loss.regression": 1}
TEACHER_ONLY = {**OFF, "loss.teacher": 1}
BOTH = {**COSINE, "loss.teacher": 1}
PAPER = {"loss.invariance": 1, "loss.variance": 1, "loss.views": 1, "loss.teacher": 1, "loss.regression": 0}
LARGE = {"optim.batch_size": 256, "optim.peak_lr": 4e-3}

ARMS: dict[str, dict[str, object]] = {
    "cosine regression": COSINE,
    "the paper's terms": PAPER,
    "cosine regression + teacher dCor": BOTH,
    "cosine regression + the paper's terms": {**PAPER, "loss.regression": 1},
    "teacher dCor": TEACHER_ONLY,
    "the paper's terms, batch 256": {**PAPER, **LARGE},
    "teacher dCor, batch 256": {**TEACHER_ONLY, **LARGE},
    "teacher dCor, unbiased": {**TEACHER_ONLY, "loss.estimator": "unbiased"},
    "the paper's terms, unbiased": {**PAPER, "loss.estimator": "unbiased"},
    "the paper's terms, teacher x 4": {**PAPER, "loss.teacher": 4},
    "the paper's terms, lr / 4": {**PAPER, "optim.peak_lr": 5e-4},
    "the paper's terms, 48 px": {**PAPER, "views.sizes": "[{start: 0.0, px: 48}]", "views.encoder_px": 60},
    "no teacher: MV-MR with five representations": {},
}
"""What each arm changes, the most telling first."""

RECIPES = Path(__file__).parents[1] / "training" / "recipes"


def train(name: str, data: Path, output: Path, views: int, photos: int) -> tuple[Path, float]:
    """Train one arm on so many views of 64 px, or their worth; its checkpoint folder, and the seconds it took."""
    arm = ARMS[name]
    options = {
        "data.train": data,
        "data.cache": output / "cache",
        "run.output": output / name.replace(" ", "-").replace("/", "by"),
        "run.name": "student",
        "views.sizes": "[{start: 0.0, px: 64}]",
        "views.encoder_px": 80,
        "monitor.knn_every_epochs": 0,
        "monitor.linear_lr": 0,
        **arm,
    }
    twice = not arm or bool(arm["loss.views"])
    worth = 64**2 / 48**2 if name.endswith("48 px") else 1.0
    options["optim.epochs"] = worth * views / photos / (2 if twice else 1)
    command, config = ("distill", "imagenette_kd.yaml") if arm else ("pretrain", "imagenette.yaml")
    checkpoint = Path(str(options["run.output"])) / "student"
    took = checkpoint.with_name("seconds.json")
    if not took.exists():
        began = time.perf_counter()
        arguments = [f"--{key}={value}" for key, value in options.items()]
        subprocess.run(
            [sys.executable, "-m", f"training.{command}", "--config", RECIPES / config, "--resume", *arguments],
            check=True,
        )
        took.write_text(json.dumps(time.perf_counter() - began))
    return checkpoint, json.loads(took.read_text())


def accuracy(checkpoint: Path, train_set: ImageFolder, val: ImageFolder) -> float:
    """`knn-v1` of val on train."""
    model = mvmr_zoo.load(checkpoint)
    bank, queries = model.embed(train_set.paths), model.embed(val.paths)
    return knn(bank, train_set.labels, queries, val.labels).accuracy


def main() -> None:
    """Train the arms that are missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("imagenette", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--views", type=int, default=18000)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    options = parser.parse_args()
    train_set, val = image_folder(options.imagenette / "train"), image_folder(options.imagenette / "val")
    lines = []
    for name in options.arms:
        checkpoint, seconds = train(
            name, options.imagenette / "train", options.output, options.views, len(train_set) * 95 // 100
        )
        found = checkpoint.with_name("knn.json")
        if not found.exists():
            found.write_text(json.dumps(accuracy(checkpoint, train_set, val)))
        lines.append(f"| {name} | {json.loads(found.read_text()):.3f} | {seconds:.0f} |")
        print(lines[-1], flush=True)
    print(f"\n{options.views} views of 64 px\n\n| terms | val k-NN | s |\n| --- | --- | --- |", *lines, sep="\n")


if __name__ == "__main__":
    main()
