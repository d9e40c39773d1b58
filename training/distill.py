"""Distil a teacher into a small encoder: `python -m training.distill --config FILE [--resume]`.

Every option of the file can be given on the command line too, as `--optim.epochs 10`;
`--print_config` shows them all. The run writes `last.ckpt` as it goes, and ends with a checkpoint
folder that `mvmr_zoo.load` reads.
"""

from __future__ import annotations

import difflib
import logging
import re
import sys
import time
import warnings
from pathlib import Path

import jsonargparse
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger
from torch.utils.data import DataLoader

from mvmr_zoo.checkpoint import check_destination
from mvmr_zoo.datasets import image_folder
from mvmr_zoo.encoder import BACKBONES
from mvmr_zoo.errors import ConfigError, DataError, MvmrError, describe_os_error
from training.checkpointing import FILE, AtomicCheckpointIO, RememberRun, check_same_run, last_checkpoint
from training.config import DistillConfig
from training.distiller import Distiller
from training.finish import finish
from training.monitor import KnnMonitor
from training.photos import Example, Views, fingerprint, stratified_split
from training.plan import Plan, RemainingSteps
from training.teacher import teacher_embeddings


def run(config: DistillConfig, *, resume: bool = False) -> Path:
    """Train, and return the finished checkpoint folder.

    Args:
        config: the whole run.
        resume: go on from `last.ckpt` of the same output folder, or start where there is none yet.

    Raises:
        ConfigError: options that do not fit each other, or not those of the run to resume.
        DataError: photos are missing or too few.
        TrainingError: the loss stopped being a number.
    """
    output = Path(config.run.output)
    last = output / FILE
    if last.exists() and not resume:
        raise DataError(f"{last} exists. Add --resume to go on from it, or choose another run.output.")
    check_destination(output / config.run.name)
    if config.student.architecture not in BACKBONES:
        raise ConfigError(f"student.architecture is {config.student.architecture}; known are {', '.join(BACKBONES)}.")
    photos = image_folder(config.data.train)
    identity = fingerprint(photos)
    if last.exists():
        check_same_run(last, config, identity)
    split = stratified_split(photos.labels, config.data.held_out, config.run.seed)
    plan = Plan(
        photos=len(split.train),
        batch_size=config.optim.batch_size,
        epochs=config.optim.epochs,
        sizes=config.views.sizes,
        seed=config.run.seed,
    )
    embeddings = teacher_embeddings(config.teacher, photos, output / "teacher")
    _check_projector(config, embeddings.shape[1])
    targets = embeddings[split.train] - embeddings[split.train].mean(axis=0)
    views = Views([photos.paths[row] for row in split.train], targets, config.views, config.loss.needs_plain_view)
    torch.manual_seed(config.run.seed)
    module = Distiller(config, plan.total_steps)
    monitor = KnnMonitor(photos, split, config.run.monitor_every_steps)
    began = time.monotonic()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")  # hints about its own options
        _trainer(config, plan, monitor, RememberRun(config, identity)).fit(
            module,
            _Steps(views, plan, config.data.workers),
            ckpt_path=last if last.exists() else None,
            weights_only=True,
        )
    print(f"trained to step {plan.total_steps}, {time.monotonic() - began:.0f} s in this run", flush=True)
    metrics = {"held_out/knn@1": monitor.measure(module)} if len(split.held_out) else {}
    return finish(module.encoder, config, output / config.run.name, metrics).folder


class _Steps(pl.LightningDataModule):
    """Gives the trainer the steps that are left."""

    def __init__(self, views: Views, plan: Plan, workers: int) -> None:
        super().__init__()
        self._views = views
        self._plan = plan
        self._workers = workers

    def train_dataloader(self) -> DataLoader[Example]:
        """The plan from the trainer's step on."""
        assert self.trainer is not None
        steps = RemainingSteps(self._plan, self.trainer.global_step)
        return DataLoader(self._views, batch_sampler=steps, num_workers=self._workers)


def _trainer(config: DistillConfig, plan: Plan, monitor: KnnMonitor, remember: RememberRun) -> pl.Trainer:
    output = Path(config.run.output)
    watched = sys.stderr.isatty()
    return pl.Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=1,
        max_steps=plan.total_steps,
        callbacks=[
            last_checkpoint(output, config.run.save_every_steps),
            remember,
            monitor,
            *([TQDMProgressBar(refresh_rate=5)] if watched else []),
        ],
        plugins=[AtomicCheckpointIO()],
        logger=CSVLogger(output, name="logs"),  # a version of its own for every resume
        log_every_n_steps=10,
        enable_progress_bar=watched,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=output,
    )


def _check_projector(config: DistillConfig, teacher_dim: int) -> None:
    width = config.student.projector[-1]
    if config.loss.regression > 0 and width != teacher_dim:
        raise ConfigError(
            f"student.projector ends in {width}, but {config.teacher} has {teacher_dim} features: "
            "loss.regression compares the two. Change the last width, or set loss.regression to 0."
        )


def parser() -> jsonargparse.ArgumentParser:
    """The command line: every field of `DistillConfig`, `--config FILE` and `--resume`."""
    made = jsonargparse.ArgumentParser(prog="python -m training.distill", description=__doc__, exit_on_error=False)
    made.add_argument("--config", action="config", help="a YAML file with any of the options below")
    made.add_argument("--resume", action="store_true", help=f"go on from {FILE} of the same output folder")
    made.add_class_arguments(DistillConfig)
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 done, 2 could not run."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    try:
        read = parser()
        made = read.instantiate(read.parse_args(arguments))
        values = {name: value for name, value in vars(made).items() if name not in ("config", "resume")}
        folder = run(DistillConfig(**values), resume=made.resume)
    except (MvmrError, jsonargparse.ArgumentError) as error:
        print(f"Error: {_explain(error)}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"Error: {describe_os_error(error)}", file=sys.stderr)
        return 2
    print(f"{folder}\nTry it: mvmr-zoo index add PHOTOS --model {folder}")
    return 0


def _explain(error: Exception) -> str:
    """One line, with the closest option where an unknown one was given."""
    text = " ".join(str(error).split())
    unknown = re.search(r"does not accept option '([\w.]+)'|unrecognized arguments: --([\w.]+)", text)
    if not unknown:
        return text
    given = unknown.group(1) or unknown.group(2)
    options = [name.removeprefix("--") for action in parser()._actions for name in action.option_strings]
    near = difflib.get_close_matches(given.split(".")[-1], [o.split(".")[-1] for o in options], n=1)
    return f"{text}. Closest option: {near[0]}." if near else text


if __name__ == "__main__":
    sys.exit(main())
