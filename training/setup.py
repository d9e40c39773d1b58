"""What every run does before its first step: find the images, split them, check what stands in its output folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mvmr_zoo.checkpoint import check_destination
from mvmr_zoo.datasets import ImageSet, open_images
from mvmr_zoo.errors import ConfigError, DataError
from training.checkpointing import FILE, check_same_run
from training.config import TaskConfig
from training.plan import Plan
from training.split import Split, stratified_split
from training.subsets import label_digest


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A run that can start.

    Args:
        data: all images.
        split: what is trained on, what is held out.
        identity: fingerprint of the images and their labels.
        resume_from: the checkpoint to go on from; None starts anew.
    """

    data: ImageSet
    split: Split
    identity: str
    resume_from: Path | None

    def plan(self, config: TaskConfig) -> Plan:
        """The batches of the run. Raises DataError for a batch larger than the data set."""
        return Plan(
            photos=len(self.split.train),
            batch_size=config.optim.batch_size,
            epochs=config.optim.epochs,
            sizes=config.views.sizes,
            seed=config.run.seed,
            accumulate=config.optim.accumulate,
        )

    @property
    def classes(self) -> int:
        """How many classes the images have; 0 where they have no labels."""
        return len(self.data.class_names)


def prepare(config: TaskConfig, *, resume: bool = False, allow_change: bool = False) -> Setup:
    """Everything that can be wrong with a run's images and output folder is found here.

    Args:
        config: of the run.
        resume: go on from `last.ckpt` of the same output folder, or start where there is none yet.
        allow_change: resume with another configuration, where the state still fits.

    Raises:
        ConfigError: the run to resume had another configuration.
        DataError: images are missing, or of one class only; the output folder holds another run.
        CheckpointError: something else stands where the finished checkpoint goes.
    """
    _check_batch_size(config)
    output = Path(config.run.output)
    last = output / FILE
    if last.exists() and not resume:
        raise DataError(f"{last} exists. Add --resume to go on from it, or choose another run.output.")
    check_destination(output / config.run.name)
    data = open_images(config.data.train, config.data.root)
    if not len(data):
        raise DataError(f"{config.data.train} holds no image.")
    _check_classes(config, data)
    identity = hashlib.sha256(f"{data.fingerprint} {label_digest(data)}".encode()).hexdigest()
    if last.exists():
        check_same_run(last, config, identity, allow_change=allow_change)
    split = stratified_split(data.labels, config.data.held_out, config.run.seed, limit=config.data.limit)
    return Setup(data=data, split=split, identity=identity, resume_from=last if last.exists() else None)


def _check_classes(config: TaskConfig, data: ImageSet) -> None:
    monitored = config.monitor.knn_every_epochs > 0 or config.monitor.linear_lr > 0
    if monitored and len(np.unique(data.labels[data.labels >= 0])) == 1:
        raise DataError(
            f"{config.data.train} holds one class only, {data.class_names[0]}; the k-NN monitor and the linear head "
            "need two. Give more classes, give a folder without subfolders, or set monitor.knn_every_epochs and "
            "monitor.linear_lr to 0."
        )


def _check_batch_size(config: TaskConfig) -> None:
    ranks = config.trainer.ranks
    if config.optim.batch_size % ranks:
        raise ConfigError(
            f"optim.batch_size is {config.optim.batch_size}; expected a multiple of the {ranks} processes."
        )
