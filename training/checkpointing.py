"""`last.ckpt`: written whole or not at all, good weights only, bound to the configuration that made it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from mvmr_zoo.errors import ConfigError, TrainingError
from training.config import TaskConfig
from training.record import flat, training_record

FILE = "last.ckpt"
_KEY = "mvmr_config"
_FREE = (
    "data.cache",
    "data.root",
    "data.train",  # the fingerprint stands for it
    "data.workers",
    "run.license",
    "run.note",
    "run.published",
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
        torch.save(checkpoint, part)
        part.replace(target)


class RememberRun(pl.Callback):
    """Keeps the configuration and the images' fingerprint in every checkpoint; lets no broken weights into one.

    Args:
        config: of the run.
        photos: fingerprint of its images.
    """

    def __init__(self, config: TaskConfig, photos: str) -> None:
        self._record = _record(config, photos)

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
        """Forget that a finished run had come to its last batch: a longer one goes on from there."""
        checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"] = False


class SaveOnTermination(pl.Callback):
    """Writes `last.ckpt` when SIGTERM asks the run to stop, at the next whole optimiser step."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._step = 0

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Save where a step has just been finished and a signal has come."""
        finished = trainer.global_step != self._step
        self._step = trainer.global_step
        if finished and trainer.received_sigterm:
            trainer.save_checkpoint(self._path)


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
        raise ConfigError(f"{path} cannot be resumed from: {' '.join(str(error).split())[:200]}") from None
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
    return {**training_record(config), "photos": photos}
