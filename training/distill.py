"""Distil a teacher into a small encoder: `python -m training.distill --config FILE [--resume]`.

Every option of the file can be given on the command line too, as `--optim.epochs 10`;
`--print_config` shows them all. The run writes `last.ckpt` as it goes, and ends with a checkpoint
folder that `mvmr_zoo.load` reads.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mvmr_zoo.errors import ConfigError
from training.command import execute
from training.config import DistillConfig
from training.objective import Objective
from training.references import TEACHER, teacher_reference
from training.selfsupervised import train
from training.setup import prepare


def run(config: DistillConfig, *, resume: bool = False, allow_change: bool = False) -> Path | None:
    """Train, and return the finished checkpoint folder; None on every process but the first.

    Args:
        config: the whole run.
        resume: go on from `last.ckpt` of the same output folder, or start where there is none yet.
        allow_change: resume with another configuration, where the state still fits.

    Raises:
        ConfigError: options that do not fit each other, or not those of the run to resume.
        DataError: images are missing or too few.
        TrainingError: the loss stopped being a number, or the embeddings collapsed.
    """
    setup = prepare(config, resume=resume, allow_change=allow_change)
    plan = setup.plan(config)
    references = teacher_reference(config.teacher, setup.data, config.cache_folder)
    if config.loss.regression > 0:
        if TEACHER in references.live:
            raise ConfigError(
                "teacher.cached is false, but loss.regression is onto embeddings minus their mean over the images, "
                "which takes all of them; expected teacher.cached true, or loss.regression 0."
            )
        _check_projector(config, references.cached[TEACHER].shape[1])
    rows = references.cached.get(TEACHER) if config.loss.regression > 0 else None
    objective = Objective(
        loss=config.loss,
        weights={TEACHER: config.loss.teacher},
        regression=config.loss.regression,
        target=TEACHER,
        target_mean=mean_of(rows, setup.split.train) if rows is not None else None,
    )
    return train(config, setup, plan, objective, references)


def mean_of(rows: NDArray[np.floating], chosen: NDArray[np.int64], block: int = 4096) -> Tensor:
    """The mean of some rows `(N, T)`, block by block: `(T,)` float32."""
    total = np.zeros(rows.shape[1])
    for start in range(0, len(chosen), block):
        total += np.asarray(rows[chosen[start : start + block]], np.float64).sum(axis=0)
    return torch.from_numpy(total / len(chosen)).float()


def _check_projector(config: DistillConfig, teacher_dim: int) -> None:
    width = config.student.projector[-1]
    if width != teacher_dim:
        raise ConfigError(
            f"student.projector ends in {width}, but {config.teacher.spec} has {teacher_dim} features: "
            "loss.regression compares the two. Change the last width, or set loss.regression to 0."
        )


if __name__ == "__main__":
    sys.exit(execute(DistillConfig, run, __doc__))
