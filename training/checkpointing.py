"""`last.ckpt`: written whole or not at all, good weights only, bound to the configuration that made it."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities.exceptions import SIGTERMException

from mvmr_zoo.errors import ConfigError, TrainingError, one_line
from training.config import DistillConfig, TaskConfig
from training.optimiser import reschedule
from training.record import flat, training_record

FILE = "last.ckpt"
_KEY = "mvmr_config"
_FREE = (
    "data.train",  # the fingerprint stands for it
    "data.workers",
    "run.save_every_steps",
    "trainer.tensorboard",
)
"""Options that change no weight; monitors' are free as well."""
_FIXED = ("data.", "photos", "student.", "optim.name", "optim.batch_size", "optim.accumulate", "run.seed")
"""What not even `--allow-config-change` may change: the state would not fit, or would mean something else."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target and renames, so that a kill leaves the old file or the new one."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write `checkpoint` to `path`."""
        target = Path(path)
        part = target.with_name(target.name + ".part")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        except (OSError, RuntimeError) as error:  # PyTorch's writer raises RuntimeError on a full disk
            part.unlink(missing_ok=True)
            raise TrainingError(f"{target} cannot be written: {one_line(error)}") from None


class RememberRun(pl.Callback):
    """Keeps the configuration and the images' fingerprint in every checkpoint; lets no broken weights into one.

    Args:
        config: of the run.
        photos: fingerprint of its images and labels.
    """

    def __init__(self, config: TaskConfig, photos: str) -> None:
        self._record = _record(config, photos)
        self._optim = config.optim

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the record; raise TrainingError, which leaves the file before, where a weight is no number."""
        broken = [name for name, p in pl_module.named_parameters() if not torch.isfinite(p).all()]
        if broken:
            raise TrainingError(
                f"Weights stopped being numbers by step {trainer.global_step}, first {broken[0]}. The last "
                "checkpoint is good; start again with a lower optim.peak_lr and another run.output."
            )
        checkpoint[_KEY] = self._record

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let the options that count now take the place of those that counted then."""
        checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"] = False  # a longer run goes on
        for optimizer, schedule in zip(checkpoint["optimizer_states"], checkpoint["lr_schedulers"], strict=True):
            reschedule(optimizer, schedule, self._optim, checkpoint["global_step"], trainer.max_steps)


class StopOnTermination(pl.Callback):
    """After SIGTERM, finishes the optimiser step, writes `last.ckpt` and stops every rank.

    Lightning's own handler would stop at the next micro-batch, and would ask the other ranks from within
    the handler.

    Args:
        folder: of `last.ckpt`.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._step = 0
        self._asked = False
        self._before: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signal over."""
        self._step = trainer.global_step
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._ask)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Save and stop where a step has just been finished and any rank was asked to."""
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        if trainer.strategy.reduce_boolean_decision(self._asked, all=False):
            trainer.save_checkpoint(self._path)
            raise SIGTERMException

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give the signal back."""
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
            self._before = None

    def _ask(self, number: int, frame: object) -> None:
        self._asked = True


def last_checkpoint(folder: Path, every_steps: int) -> ModelCheckpoint:
    """Writes `last.ckpt` every n optimiser steps."""
    return ModelCheckpoint(
        dirpath=folder,
        filename=FILE.removesuffix(".ckpt"),
        every_n_train_steps=every_steps,
        save_top_k=1,
        enable_version_counter=False,
    )


def check_same_run(path: Path, config: TaskConfig, photos: str, *, allow_change: bool = False) -> None:
    """Raise ConfigError, naming each difference, unless `path` was written by this run on these images.

    Args:
        path: of `last.ckpt`.
        config: of the run that wants to go on.
        photos: fingerprint of what it trains on.
        allow_change: print the differences and go on, where the state still fits.
    """
    try:
        before = torch.load(path, weights_only=True, map_location="cpu", mmap=True)[_KEY]
    except Exception as error:  # a damaged file fails in torch's own ways
        raise ConfigError(f"{path} cannot be resumed from: {one_line(error)}") from None
    old, new = flat(before), flat(_record(config, photos))
    changed = [
        name
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name) and name not in _FREE and not name.startswith("monitor.")
    ]
    if not changed:
        return
    differences = "; ".join(f"{name}: {old.get(name)} before, {new.get(name)} now" for name in changed)
    fixed = [name for name in changed if name.startswith(_FIXED)]
    if fixed and allow_change:
        raise ConfigError(f"{path} cannot go on with another {', '.join(fixed)} ({differences}). Start a new run.")
    if not allow_change:
        hint = "" if fixed else ", or add --allow-config-change"
        raise ConfigError(f"{path} was written by another configuration ({differences}). Use that one{hint}.")
    print(f"Going on with another configuration: {differences}", flush=True)


def _record(config: TaskConfig, photos: str) -> dict[str, Any]:
    found = {**training_record(config), "photos": photos, "ranks": config.trainer.ranks}
    if isinstance(config, DistillConfig):
        found["teacher"]["spec"] = config.teacher.spec  # in full: this file stays on its machine
    return found
