"""The three runs, from a configuration to a checkpoint folder: pretrain, distill, finetune."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from mvmr_zoo.checkpoint import Figure, Head
from mvmr_zoo.errors import DataError
from training.callbacks import Health, KnnMonitor, LogValues, OnlineLinear, image_features, knn_every
from training.config import DistillConfig, FinetuneConfig, PretrainConfig, TaskConfig
from training.config.objective import AUGMENTED_PIXELS
from training.console import say
from training.data import Plan, RemainingBatches, Split, ViewDataset, subset_file
from training.finish import finish
from training.losses import DistillationLoss, MVMRLoss
from training.losses.regression import TEACHER
from training.module import Classifier, MVMRModule
from training.targets import Targets, representation_targets, teacher_targets
from training.trainer import Setup, fit, prepare

_SOURCE = "the training run"
PROJECTOR_IMAGES = 8192
"""Number of training images to whose targets `student.fit_projector` fits the projector."""
_ALIGNMENT_IMAGES = 512
"""Number of training images by whose features the dimensions of `aligned` are ordered."""


def pretrain(config: PretrainConfig, *, resume: bool = False, allow_change: bool = False) -> Path | None:
    """Pretrain an encoder without labels. Returns the finished checkpoint folder; None in all but the first process.

    Args:
        config: Configuration of the run.
        resume: Continue from `last.ckpt` in the same output folder. Start a new run if there is none.
        allow_change: Resume with a changed configuration if the saved state still fits.

    Raises:
        ConfigError: Options conflict with each other or with those of the run to resume.
        FinishedError: The run to resume has finished.
        DataError: Images are missing or too few.
        TrainingError: The loss is not finite, or the embeddings collapsed.
    """
    setup = prepare(config, resume=resume, allow_change=allow_change)
    plan = setup.plan(config)
    targets = representation_targets(config.representations, config.views, setup.data, config.cache_folder)
    weights = {term.kind: term.weight for term in config.representations.terms}
    loss = MVMRLoss(weights, sign=config.representations.sign, **dataclasses.asdict(config.loss))
    return _train(config, setup, plan, loss, targets, second_view=weights.get(AUGMENTED_PIXELS, 0) > 0)


def distill(config: DistillConfig, *, resume: bool = False, allow_change: bool = False) -> Path | None:
    """Distill a teacher into an encoder. Returns the finished checkpoint folder; None in all but the first process.

    Args:
        config: Configuration of the run.
        resume: Continue from `last.ckpt` in the same output folder. Start a new run if there is none.
        allow_change: Resume with a changed configuration if the saved state still fits.

    Raises:
        ConfigError: Options conflict with each other or with those of the run to resume.
        FinishedError: The run to resume has finished.
        DataError: Images are missing or too few.
        TrainingError: The loss is not finite, or the embeddings collapsed.
    """
    setup = prepare(config, resume=resume, allow_change=allow_change)
    plan = setup.plan(config)
    targets = teacher_targets(
        config.teacher,
        config.views,
        setup.data,
        setup.split.train,
        config.cache_folder,
        width=config.student.projector[-1] if config.loss.follows_teacher else None,
    )
    space = targets.space
    loss = DistillationLoss(
        teacher_mean=space.mean if space is not None and space.projection is None else None,
        teacher_dim=targets.dims[TEACHER],
        **dataclasses.asdict(config.loss),
    )
    return _train(config, setup, plan, loss, targets)


def finetune(config: FinetuneConfig, *, resume: bool = False, allow_change: bool = False) -> Path | None:
    """Fine-tune an encoder and a classifier. Returns the finished checkpoint folder; None in all but the first process.

    Args:
        config: Configuration of the run.
        resume: Continue from `last.ckpt` in the same output folder. Start a new run if there is none.
        allow_change: Resume with a changed configuration if the saved state still fits.

    Raises:
        ConfigError: Options conflict with each other or with those of the run to resume.
        FinishedError: The run to resume has finished.
        DataError: Images are missing, too few, or without labels, or the subset file lists other images.
        TrainingError: The loss is not finite.
    """
    setup = _with_subset(config, prepare(config, resume=resume, allow_change=allow_change))
    plan = setup.plan(config)
    dataset = ViewDataset(data=setup.data, rows=setup.split.train, config=config.views)
    torch.manual_seed(config.run.seed)
    module = Classifier(config, setup.classes, plan.total_steps)
    preprocess = config.views.encoder_preprocess
    callbacks: list[pl.Callback] = [LogValues(config.monitor.every_steps)]
    if every := knn_every(config, plan, setup.data.labels):
        callbacks.append(KnnMonitor(setup.data, setup.split, every, preprocess))
    if not fit(module, dataset, config, setup, plan, callbacks):
        return None
    head = Head(module.head.weight.detach().cpu().numpy(), module.head.bias.detach().cpu().numpy())
    metrics = {}
    if len(setup.split.held_out):
        features = image_features(module.encoder, preprocess, setup.data, setup.split.held_out)
        predictions = (features @ head.weight.T + head.bias).argmax(axis=1)
        correct = predictions == setup.data.labels[setup.split.held_out]
        metrics["held_out/top1"] = Figure(value=float(correct.mean()), source=_SOURCE, images=len(correct))
    return finish(module.encoder, config, metrics, head=head, class_names=setup.data.class_names).folder


def _train(
    config: TaskConfig, setup: Setup, plan: Plan, loss: MVMRLoss, targets: Targets, *, second_view: bool = False
) -> Path | None:
    """The common part of pretraining and distillation: from a loss and its targets to a checkpoint folder.

    Args:
        config: Configuration of the run.
        setup: Its images.
        plan: Its batches.
        loss: The loss to minimize.
        targets: The targets of the loss.
        second_view: Whether the pixels of a second augmented view are a target.
    """
    dataset = ViewDataset(
        data=setup.data,
        rows=setup.split.train,
        config=config.views,
        with_plain=loss.reads_plain_view,
        with_other=second_view,
        targets=targets.cached,
        source=targets.source,
    )
    torch.manual_seed(config.run.seed)
    module = MVMRModule(config, loss, targets.live, plan.total_steps, second_view=second_view)
    if config.student.fit_projector and setup.resume_from is None:
        say("Fitting the projector")
        batches = itertools.islice(RemainingBatches(plan, 0), math.ceil(PROJECTOR_IMAGES / plan.batch_size))
        module.fit_projector(DataLoader(dataset, batch_sampler=list(batches), num_workers=config.data.workers))
    callbacks: list[pl.Callback] = [Health(config.monitor)]
    if config.monitor.linear_lr > 0 and setup.classes:
        callbacks.append(OnlineLinear(setup.classes, config.monitor.linear_lr, config.monitor.every_steps))
    measured = None
    if every := knn_every(config, plan, setup.data.labels):
        measured = KnnMonitor(setup.data, setup.split, every, config.views.encoder_preprocess)
        callbacks.append(measured)
    if not fit(module, dataset, config, setup, plan, callbacks):
        return None
    result = None if measured is None else measured.result
    features = None
    if isinstance(config, DistillConfig) and config.loss.follows_teacher and len(module.projector) == 1:
        sample = np.sort(np.random.default_rng(config.run.seed).permutation(setup.split.train)[:_ALIGNMENT_IMAGES])
        features = image_features(module.encoder, config.views.encoder_preprocess, setup.data, sample)
    return finish(
        module.encoder,
        config,
        {"held_out/knn-v1": Figure(value=result.accuracy, source=_SOURCE, images=result.queries)}
        if result is not None and result.held_out
        else {},
        projector=module.projector,
        space=targets.space,
        features=features,
    ).folder


def _with_subset(config: FinetuneConfig, setup: Setup) -> Setup:
    """The setup with the subset as training images. Its images are removed from the held-out ones."""
    labels = setup.data.labels
    if labels.min() < 0 or setup.classes < 2:
        raise DataError(
            f"{config.data.train} has images without a label, or fewer than two classes. Fine-tuning needs labels for "
            "all images and at least two classes."
        )
    path = Path(config.subset or Path(config.run.output) / f"subset-{config.share:g}.csv")
    chosen = subset_file(path, setup.data, config.share, config.run.seed, setup.split.train)
    held_out = np.setdiff1d(setup.split.held_out, chosen)
    return dataclasses.replace(setup, split=Split(chosen, held_out))
