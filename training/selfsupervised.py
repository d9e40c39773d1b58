"""What pretraining and distillation share: from an objective and its references to a checkpoint folder."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl
import torch

from training.config import TaskConfig
from training.examples import Examples
from training.finish import finish
from training.fit import fit
from training.learner import Learner
from training.monitors import Health, KnnMonitor, OnlineLinear, knn_accuracy, knn_every
from training.objective import Objective
from training.plan import Plan
from training.references import References
from training.setup import Setup


def train(
    config: TaskConfig,
    setup: Setup,
    plan: Plan,
    objective: Objective,
    references: References,
    *,
    with_other: bool = False,
) -> Path | None:
    """Train, and return the finished checkpoint folder; None on every process but the first.

    Args:
        config: of the run.
        setup: its images.
        plan: its batches.
        objective: what is minimised.
        references: what embeddings are made dependent on.
        with_other: whether a second augmented view is wanted.
    """
    examples = Examples(
        data=setup.data,
        rows=setup.split.train,
        config=config.views,
        with_plain=objective.loss.reads_plain_view,
        with_other=with_other,
        references=references.cached,
        source=references.source,
        source_px=references.source_px,
    )
    torch.manual_seed(config.run.seed)
    module = Learner(config, objective, references.live, plan.total_steps)
    if not fit(module, examples, config, setup, plan, _monitors(config, setup, plan)):
        return None
    preprocess = config.views.encoder_preprocess
    metrics = {}
    if len(setup.split.held_out):
        metrics["held_out/knn@1"] = knn_accuracy(module.encoder, preprocess, setup.data, setup.split)
    return finish(module.encoder, config, metrics).folder


def _monitors(config: TaskConfig, setup: Setup, plan: Plan) -> list[pl.Callback]:
    chosen: list[pl.Callback] = [Health(config.monitor)]
    if config.monitor.linear_lr > 0 and setup.classes:
        chosen.append(OnlineLinear(setup.classes, config.monitor.linear_lr, config.monitor.every_steps))
    if every := knn_every(config, plan, setup.split):
        preprocess = config.views.encoder_preprocess
        chosen.append(KnnMonitor(setup.data, setup.split, every, preprocess))
    return chosen
