"""Fine-tune a whole encoder on few labels: `python -m training.finetune --config FILE [--resume]`.

Every option of the file can be given on the command line too, as `--share 0.01`; `--print_config`
shows them all. Which images are trained on stands in a file, written once and reused. The run ends
with a checkpoint folder that holds the classifier too.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch

from mvmr_zoo.checkpoint import Head
from mvmr_zoo.errors import DataError
from training.classifier import Classifier
from training.command import execute
from training.config import FinetuneConfig
from training.examples import Examples
from training.finish import finish
from training.fit import fit
from training.monitors import KnnMonitor, image_features, knn_every
from training.setup import Setup, prepare
from training.split import Split
from training.subsets import subset_file


def run(config: FinetuneConfig, *, resume: bool = False, allow_change: bool = False) -> Path | None:
    """Train, and return the finished checkpoint folder; None on every process but the first.

    Args:
        config: the whole run.
        resume: go on from `last.ckpt` of the same output folder, or start where there is none yet.
        allow_change: resume with another configuration, where the state still fits.

    Raises:
        ConfigError: options that do not fit each other, or not those of the run to resume.
        DataError: images are missing, too few, or without labels; the subset's file is of other images.
        TrainingError: the loss stopped being a number.
    """
    setup = _with_subset(config, prepare(config, resume=resume, allow_change=allow_change))
    plan = setup.plan(config)
    examples = Examples(data=setup.data, rows=setup.split.train, config=config.views, references={})
    torch.manual_seed(config.run.seed)
    module = Classifier(config, setup.classes, plan.total_steps)
    preprocess = config.views.encoder_preprocess
    monitors = []
    if every := knn_every(config, plan, setup.split):
        monitors.append(KnnMonitor(setup.data, setup.split, every, preprocess))
    if not fit(module, examples, config, setup, plan, monitors):
        return None
    head = Head(module.head.weight.detach().cpu().numpy(), module.head.bias.detach().cpu().numpy())
    metrics = {}
    if len(setup.split.held_out):
        features = image_features(module.encoder, preprocess, setup.data, setup.split.held_out)
        predictions = (features @ head.weight.T + head.bias).argmax(axis=1)
        metrics["held_out/top1"] = float((predictions == setup.data.labels[setup.split.held_out]).mean())
    return finish(module.encoder, config, metrics, head=head, class_names=setup.data.class_names).folder


def _with_subset(config: FinetuneConfig, setup: Setup) -> Setup:
    """The run on the subset's images; the held-out ones are none of them."""
    labels = setup.data.labels
    if labels.min() < 0 or setup.classes < 2:
        raise DataError(f"{config.data.train} has no label for every image; fine-tuning needs two classes or more.")
    path = Path(config.subset or Path(config.run.output) / f"subset-{config.share:g}.csv")
    chosen = subset_file(path, setup.data, config.share, config.run.seed, setup.split.train)
    held_out = np.setdiff1d(setup.split.held_out, chosen)
    return dataclasses.replace(setup, split=Split(chosen, held_out))


if __name__ == "__main__":
    sys.exit(execute(FinetuneConfig, run, __doc__))
