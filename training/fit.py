"""The Lightning trainer of a run: devices, precision, loggers, checkpoints, monitors."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from torch.utils.data import DataLoader, Dataset

from mvmr_zoo.errors import ConfigError, MissingDependencyError
from training.checkpointing import AtomicCheckpointIO, RememberRun, StopOnTermination, last_checkpoint
from training.config import TaskConfig
from training.plan import Plan, RemainingBatches
from training.setup import Setup

_PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


class Batches(pl.LightningDataModule):
    """Gives the trainer the batches that are left, and each rank its share of them.

    Args:
        dataset: from a `plan.Draw` to an example.
        plan: of the run.
        workers: processes that prepare examples.
    """

    def __init__(self, dataset: Dataset[Any], plan: Plan, workers: int) -> None:
        super().__init__()
        self._dataset = dataset
        self._plan = plan
        self._workers = workers

    def train_dataloader(self) -> DataLoader[Any]:
        """The plan from the trainer's step on."""
        trainer = self.trainer
        assert trainer is not None
        first = trainer.global_step * self._plan.accumulate
        batches = RemainingBatches(self._plan, first, rank=trainer.global_rank, ranks=trainer.world_size)
        return DataLoader(
            self._dataset,
            batch_sampler=batches,
            num_workers=self._workers,
            pin_memory=trainer.strategy.root_device.type == "cuda",
        )


def fit(
    module: pl.LightningModule,
    dataset: Dataset[Any],
    config: TaskConfig,
    setup: Setup,
    plan: Plan,
    monitors: Sequence[pl.Callback],
) -> bool:
    """Train to the end of the plan; whether this process is the one that writes the result.

    Raises:
        ConfigError: a precision or a number of devices that is not to be had.
        TrainingError: the loss stopped being a number, or the embeddings collapsed.
    """
    began = time.monotonic()
    output = Path(config.run.output)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")  # hints about its own options
        callbacks = [
            *monitors,  # before the checkpoints, which hold their state
            last_checkpoint(output, config.run.save_every_steps),
            RememberRun(config, setup.identity),
            StopOnTermination(output),
        ]
        trainer = _trainer(config, plan, callbacks)
        trainer.fit(
            module,
            Batches(dataset, plan, config.data.workers),
            ckpt_path=setup.resume_from,
            weights_only=True,
        )
    if trainer.is_global_zero:
        print(f"trained to step {plan.total_steps}, {time.monotonic() - began:.0f} s in this run", flush=True)
    return trainer.is_global_zero


def _trainer(config: TaskConfig, plan: Plan, callbacks: list[pl.Callback]) -> pl.Trainer:
    output = Path(config.run.output)
    watched = sys.stderr.isatty()
    several = config.trainer.ranks > 1
    cuda = torch.cuda.is_available() and config.trainer.accelerator in ("auto", "cuda")
    if config.trainer.precision == "fp16" and not cuda:
        raise ConfigError("trainer.precision is fp16, which needs CUDA; expected fp32 or bf16 here.")
    if config.trainer.accelerator == "cuda" and not cuda:
        raise ConfigError("trainer.accelerator is cuda, but PyTorch finds no CUDA device; expected auto or cpu here.")
    loggers: list[Logger] = [
        CSVLogger(output, name="logs", flush_logs_every_n_steps=1)
    ]  # a version of its own for every resume
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
        precision=_PRECISIONS[config.trainer.precision],  # type: ignore[arg-type]
        accumulate_grad_batches=config.optim.accumulate,
        gradient_clip_val=config.optim.clip_norm,
        max_epochs=1,
        max_steps=plan.total_steps,
        callbacks=[*callbacks, *([TQDMProgressBar(refresh_rate=5)] if watched else [])],
        plugins=[AtomicCheckpointIO()],
        logger=loggers,
        log_every_n_steps=config.monitor.every_steps,
        enable_progress_bar=watched,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=output,
    )
