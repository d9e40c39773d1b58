"""A run from its configuration to a trained module: checks, images, plan, and the Lightning trainer."""

from __future__ import annotations

import hashlib
import os
import signal
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from torch.utils.data import DataLoader, Dataset

from mvmr_zoo.checkpoint import check_destination, read_checkpoint
from mvmr_zoo.datasets import ImageSet, JoinedImages, open_images, stat_fingerprint
from mvmr_zoo.errors import CheckpointError, ConfigError, DataError, MissingDependencyError
from training.callbacks import Ema, Progress
from training.checkpointing import (
    FILE,
    AtomicCheckpointIO,
    CheckpointWriter,
    RunRecord,
    all_steps_done,
    check_same_run,
    saved_step,
)
from training.config import TaskConfig
from training.console import duration, say
from training.data import Plan, RemainingBatches, Split, label_digest, stratified_split
from training.errors import FinishedError

_PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A checked run that can start.

    Args:
        data: All images.
        split: Training images and held-out images.
        identity: Fingerprint of the images and their labels.
        resume_from: The checkpoint to continue from. None starts a new run.
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
        """Number of classes of the images; 0 if they have no labels."""
        return len(self.data.class_names)


def prepare(config: TaskConfig, *, resume: bool = False, allow_change: bool = False) -> Setup:
    """Open the images, and check everything about them and the output folder that could stop the run later.

    Args:
        config: Configuration of the run.
        resume: Continue from `last.ckpt` in the same output folder. Start a new run if there is none.
        allow_change: Resume with a changed configuration if the saved state still fits.

    Raises:
        ConfigError: The run to resume had another configuration.
        FinishedError: The run to resume has finished.
        DataError: Images are missing or of one class only, or the output folder contains another run.
        CheckpointError: `run.output/run.name` exists and is not a checkpoint folder.
    """
    _check_batch_size(config)
    if torch.cuda.is_available():  # what is computed before training must not all land on the first GPU
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    output = Path(config.run.output)
    last = output / FILE
    if last.exists() and not resume:
        raise DataError(f"{last} exists. Add --resume to continue that run, or choose another run.output.")
    if resume and not allow_change and (not last.exists() or all_steps_done(last)):
        _check_not_finished(output / config.run.name)
    check_destination(output / config.run.name)
    say(f"Opening {', '.join(config.data.sources)}")
    data = _open(config)
    if not len(data):
        raise DataError(f"{config.data.train} contains no images.")
    _check_classes(config, data)
    identity = hashlib.sha256(f"{stat_fingerprint(data)} {label_digest(data)}".encode()).hexdigest()
    if last.exists():
        check_same_run(last, config, identity, allow_change=allow_change)
    split = stratified_split(data.labels, config.data.held_out, config.run.seed, limit=config.data.limit)
    say(f"{_images(data)}: {len(split.train):,} to train on, {len(split.held_out):,} held out")
    return Setup(data=data, split=split, identity=identity, resume_from=last if last.exists() else None)


def _open(config: TaskConfig) -> ImageSet:
    opened = [open_images(source, config.data.root) for source in config.data.sources]
    return opened[0] if len(opened) == 1 else JoinedImages(tuple(opened))


def _images(data: ImageSet) -> str:
    """The number of images and classes in words."""
    classes = len(data.class_names)
    return f"{len(data):,} images" + (f" of {classes:,} classes" if classes else " without classes")


def _check_not_finished(folder: Path) -> None:
    try:
        read_checkpoint(folder)
    except CheckpointError:
        return
    raise FinishedError(
        f"This run has finished. Its result is in {folder}. To train longer, raise optim.epochs and add "
        "--allow_config_change."
    )


def _check_classes(config: TaskConfig, data: ImageSet) -> None:
    monitored = config.monitor.knn_every_epochs > 0 or config.monitor.linear_lr > 0
    if monitored and len(np.unique(data.labels[data.labels >= 0])) == 1:
        raise DataError(
            f"{config.data.train} contains only one class, {data.class_names[0]}. k-NN and the linear head "
            "need two. Use more classes, use a folder without subfolders, or set monitor.knn_every_epochs and "
            "monitor.linear_lr to 0."
        )


def _check_batch_size(config: TaskConfig) -> None:
    ranks = config.trainer.ranks
    if config.optim.batch_size % ranks:
        raise ConfigError(
            f"optim.batch_size is {config.optim.batch_size}; expected a multiple of the {ranks} processes."
        )


class Batches(pl.LightningDataModule):
    """Loads the remaining batches of a run. Each process reads its share of every batch.

    Args:
        dataset: Maps a `Draw` to an example.
        plan: The batches of the run.
        workers: Number of processes that prepare examples.
    """

    def __init__(self, dataset: Dataset[Any], plan: Plan, workers: int) -> None:
        super().__init__()
        self._dataset = dataset
        self._plan = plan
        self._workers = workers

    def train_dataloader(self) -> DataLoader[Any]:
        """The batches of the plan from the trainer's current step on."""
        trainer = self.trainer
        assert trainer is not None
        first = trainer.global_step * self._plan.accumulate
        batches = RemainingBatches(self._plan, first, rank=trainer.global_rank, ranks=trainer.world_size)
        return DataLoader(
            self._dataset,
            batch_sampler=batches,
            num_workers=self._workers,
            worker_init_fn=_ignore_interrupts,
            pin_memory=trainer.strategy.root_device.type == "cuda",
        )


def _ignore_interrupts(worker: int) -> None:
    """Ignore Ctrl-C in a worker. The main process handles it after its step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def fit(
    module: pl.LightningModule,
    dataset: Dataset[Any],
    config: TaskConfig,
    setup: Setup,
    plan: Plan,
    callbacks: Sequence[pl.Callback],
) -> bool:
    """Train to the end of the plan. Returns whether this process writes the result.

    Raises:
        FinishedError: The run to resume has finished, and the plan has no further steps.
        ConfigError: This machine does not support the precision or the accelerator.
        TrainingError: The loss is not finite, or the embeddings collapsed.
    """
    began = time.monotonic()
    output = Path(config.run.output)
    complete = setup.resume_from is not None and saved_step(setup.resume_from) >= plan.total_steps
    if complete:
        _check_not_finished(output / config.run.name)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", module="pytorch_lightning|lightning_fabric"
        )  # hints about Lightning's options
        first = min(round(config.optim.warmup * plan.total_steps), plan.total_steps - 1)
        averaging = [Ema(config.optim.ema, start=first)] if config.optim.ema > 0 else []
        measuring = [*averaging, *callbacks]
        trainer = _trainer(
            config,
            plan,
            [
                *measuring,  # before the writer, so that a checkpoint has their state after the step
                RunRecord(config, setup.identity),
                Progress(config.optim.batch_size, config.data.workers),
                CheckpointWriter(output, config.run.save_every_minutes),
            ],
        )
        trainer.fit(
            module,
            Batches(dataset, plan, config.data.workers),
            ckpt_path=setup.resume_from,
            weights_only=True,
        )
    if complete:  # the trainer had no step to do, and did not call them
        for callback in measuring:
            callback.on_train_end(trainer, module)
    say(
        f"Trained to step {plan.total_steps:,} in {duration(time.monotonic() - began)}. "
        f"Metrics: {trainer.log_dir}/metrics.csv"
    )
    return trainer.is_global_zero


def _trainer(config: TaskConfig, plan: Plan, callbacks: list[pl.Callback]) -> pl.Trainer:
    output = Path(config.run.output)
    several = config.trainer.ranks > 1
    cuda = torch.cuda.is_available() and config.trainer.accelerator in ("auto", "cuda")
    if config.trainer.precision == "fp16" and not cuda:
        raise ConfigError("trainer.precision is fp16, which needs CUDA; expected fp32 or bf16 here.")
    if config.trainer.accelerator == "cuda" and not cuda:
        raise ConfigError("trainer.accelerator is cuda, but PyTorch found no CUDA device; expected auto or cpu here.")
    # every resume writes another version folder
    loggers: list[Logger] = [CSVLogger(output, name="logs", flush_logs_every_n_steps=1)]
    if config.trainer.tensorboard:
        try:
            loggers.append(TensorBoardLogger(output, name="logs", version=loggers[0].version))
        except ModuleNotFoundError as error:
            raise MissingDependencyError("tensorboard", "train", "write TensorBoard logs") from error
    return pl.Trainer(
        accelerator=config.trainer.accelerator,
        devices=config.trainer.local_ranks,
        num_nodes=config.trainer.nodes,
        strategy="ddp" if several else "auto",
        sync_batchnorm=several and cuda,
        benchmark=cuda,
        precision=_PRECISIONS[config.trainer.precision],  # type: ignore[arg-type]
        accumulate_grad_batches=config.optim.accumulate,
        gradient_clip_val=config.optim.clip_norm,
        max_epochs=1,
        max_steps=plan.total_steps,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        logger=loggers,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        use_distributed_sampler=False,
        default_root_dir=output,
    )
