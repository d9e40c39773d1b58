"""`last.ckpt`: written atomically, with finite weights only, and bound to the configuration of its run."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities.exceptions import SIGTERMException

from mvmr_zoo._io import check_regular, written_whole
from mvmr_zoo.errors import ConfigError, TrainingError, one_line
from training.config import DistillConfig, TaskConfig
from training.console import say
from training.finish import flat, training_record
from training.optimizer import reschedule

FILE = "last.ckpt"
_KEY = "mvmr_config"
_TOTAL = "mvmr_total_steps"
_UNCHECKED = (
    "data.train",  # its images are compared by fingerprint
    "data.name",
    "data.workers",
    "run.name",
    "run.save_every_minutes",
    "trainer.tensorboard",
)
"""Options that do not affect the weights, as all of `monitor`. They may differ on resume."""
_UNCHANGEABLE = (
    "data.limit",
    "data.held_out",
    "student.",
    "optim.name",
    "optim.batch_size",
    "optim.accumulate",
    "optim.decay_vectors",
    "run.seed",
    "loss.memory_bank",
)
"""Options that must not differ even with `--allow_config_change`.

With other values, the saved state would not fit, or the run would use other images.
"""
_STATEFUL = ("loss.similarity", "optim.ema")
"""Options with a state of their own, which `--allow_config_change` must not turn on or off."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a new file and renames it, so that an interruption leaves either the old file or the new one."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write `checkpoint` to `path`."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with written_whole(target) as part, part.open("wb") as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:  # PyTorch's writer raises RuntimeError on a full disk
            raise TrainingError(f"{target} cannot be written: {one_line(error)}") from None


class RunRecord(pl.Callback):
    """Stores the configuration and the images' fingerprint in checkpoints, and rejects weights that are not finite.

    Args:
        config: Configuration of the run.
        photos: Fingerprint of its images and labels.
    """

    def __init__(self, config: TaskConfig, photos: str) -> None:
        self._record = _record(config, photos)
        self._optim = config.optim

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the record. Raises TrainingError if a weight is not finite, so that the previous file is kept."""
        broken = [name for name, p in pl_module.named_parameters() if not torch.isfinite(p).all()]
        if broken:
            raise TrainingError(
                f"The weights became NaN or infinite at step {trainer.global_step}, for example {broken[0]}. "
                "The last checkpoint is valid. Start a new run with a lower optim.peak_lr."
            )
        checkpoint[_KEY] = self._record
        checkpoint[_TOTAL] = trainer.max_steps

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Replace the learning rate, schedule and weight decay by those of the current configuration."""
        # otherwise Lightning would end a run that is extended
        checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"] = False
        for optimizer, schedule in zip(checkpoint["optimizer_states"], checkpoint["lr_schedulers"], strict=True):
            reschedule(optimizer, schedule, self._optim, checkpoint["global_step"], trainer.max_steps)


class CheckpointWriter(pl.Callback):
    """Writes `last.ckpt` at intervals, after the last step, and on SIGTERM or Ctrl-C.

    After a signal, all processes finish their step and stop. A second Ctrl-C stops at once.

    Lightning's own SIGTERM handler is replaced: it would stop in the middle of an optimizer step, and would
    communicate with other processes from within the handler.

    Args:
        folder: Folder of `last.ckpt`.
        every_minutes: Minutes between checkpoints, positive.
    """

    def __init__(self, folder: Path, every_minutes: float) -> None:
        self._path = folder / FILE
        self._seconds = 60 * every_minutes
        self._step = 0
        self._saved = 0.0
        self._received = 0
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Install the handlers."""
        self._step = trainer.global_step
        self._saved = time.monotonic()
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Save after an optimizer step if a checkpoint is due, and stop if any process received a signal."""
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        due = time.monotonic() - self._saved >= self._seconds or self._step == trainer.max_steps
        if not trainer.strategy.reduce_boolean_decision(due or self._received > 0, all=False):
            return
        trainer.save_checkpoint(self._path)
        self._saved = time.monotonic()
        if trainer.strategy.reduce_boolean_decision(self._received > 0, all=False):
            raise SIGTERMException(128 + (self._received or signal.SIGTERM))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore Lightning's handlers. Lightning then restores the original ones."""
        self._restore()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Restore the previous handlers."""
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _stop(self, number: int, frame: object) -> None:
        if number == signal.SIGINT:
            if self._received == signal.SIGINT:
                raise KeyboardInterrupt
            say("Stopping after this step. Press Ctrl-C again to stop at once.")
        self._received = number


def check_same_run(path: Path, config: TaskConfig, photos: str, *, allow_change: bool = False) -> None:
    """Raise ConfigError, naming each difference, unless `path` was written by this run on these images.

    Args:
        path: Path of `last.ckpt`.
        config: Configuration of the run to resume.
        photos: Fingerprint of its images and labels.
        allow_change: Print the differences and continue if the saved state still fits.
    """
    old, new = flat(_read(path)[_KEY]), flat(_record(config, photos))
    changed = [
        name
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name) and name not in _UNCHECKED and not name.startswith("monitor.")
    ]
    if not changed:
        return
    differences = "; ".join(f"{name}: {old.get(name)} before, {new.get(name)} now" for name in changed)
    switched = [name for name in _STATEFUL if bool(old.get(name)) != bool(new.get(name))]
    fixed = [name for name in changed if name.startswith(_UNCHANGEABLE) or name in switched]
    if fixed and allow_change:
        raise ConfigError(
            f"{path} cannot be resumed after a change of {', '.join(fixed)} ({differences}). Start a new run."
        )
    if not allow_change:
        hint = "" if fixed else ", or add --allow_config_change"
        raise ConfigError(
            f"{path} was written with another configuration ({differences}). Use that configuration{hint}."
        )
    say(f"Resuming with another configuration: {differences}")


def saved_step(path: Path) -> int:
    """The optimizer step that `last.ckpt` was written at. Raises ConfigError for a damaged file."""
    return int(_read(path)["global_step"])


def all_steps_done(path: Path) -> bool:
    """Whether `last.ckpt` was written after the last step of its run. Raises ConfigError for a damaged file."""
    saved = _read(path)
    return int(saved["global_step"]) >= int(saved[_TOTAL])


def _read(path: Path) -> dict[str, Any]:
    try:
        saved: dict[str, Any] = torch.load(check_regular(path), weights_only=True, map_location="cpu", mmap=True)
        if missing := {_KEY, _TOTAL, "global_step"} - saved.keys():
            raise ValueError(f"{min(missing)} is missing")
    except Exception as error:  # a damaged file fails in torch's own ways
        raise ConfigError(f"{path} cannot be used to resume: {one_line(error)}") from None
    return saved


def _record(config: TaskConfig, photos: str) -> dict[str, Any]:
    found = {**training_record(config), "photos": photos, "ranks": config.trainer.ranks}
    if isinstance(config, DistillConfig):
        found["teacher"]["spec"] = config.teacher.spec  # in full, because last.ckpt is not published
    return found
