"""`last.ckpt`: written whole or not at all, and bound to the configuration that made it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from mvmr_zoo.errors import ConfigError
from training.config import DistillConfig
from training.finish import training_record

FILE = "last.ckpt"
_KEY = "mvmr_config"
_FREE = (
    "data.train",  # the fingerprint stands for it
    "data.workers",
    "run.license",
    "run.monitor_every_steps",
    "run.note",
    "run.save_every_steps",
)
"""Options that change no weight."""


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
    """Keeps the configuration and the photos' fingerprint in every checkpoint."""

    def __init__(self, config: DistillConfig, photos: str) -> None:
        self._record = _record(config, photos)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add it."""
        checkpoint[_KEY] = self._record


def last_checkpoint(folder: Path, every_steps: int) -> ModelCheckpoint:
    """Writes `last.ckpt` every n steps."""
    return ModelCheckpoint(
        dirpath=folder,
        filename=FILE.removesuffix(".ckpt"),
        every_n_train_steps=every_steps,
        save_top_k=1,
        enable_version_counter=False,
    )


def check_same_run(path: Path, config: DistillConfig, photos: str) -> None:
    """Raise ConfigError, naming each difference, unless `path` was written by this run on these photos.

    Args:
        path: of `last.ckpt`.
        config: of the run that wants to go on.
        photos: `photos.fingerprint` of what it trains on.
    """
    try:
        before = torch.load(path, weights_only=True, map_location="cpu", mmap=True)[_KEY]
    except Exception as error:  # a damaged file fails in torch's own ways
        raise ConfigError(f"{path} cannot be resumed from: {' '.join(str(error).split())[:200]}") from None
    old, new = _flat(before), _flat(_record(config, photos))
    changed = [
        f"{name}: {old.get(name)} before, {new.get(name)} now"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name) and name not in _FREE
    ]
    if changed:
        raise ConfigError(f"{path} was written by another configuration ({'; '.join(changed)}). Use that one.")


def _record(config: DistillConfig, photos: str) -> dict[str, Any]:
    return {**training_record(config), "photos": photos}


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested options as `section.option`."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
