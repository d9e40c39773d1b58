"""Train an encoder without labels: `python -m training.pretrain --config FILE [--resume]`.

Every option of the file can be given on the command line too, as `--optim.epochs 10`;
`--print_config` shows them all. The run writes `last.ckpt` as it goes, and ends with a checkpoint
folder that `mvmr_zoo.load` reads.
"""

from __future__ import annotations

import sys
from pathlib import Path

from training.command import execute
from training.config import PretrainConfig
from training.config.references import AUGMENTED_PIXELS
from training.objective import Objective
from training.references import representation_references
from training.selfsupervised import train
from training.setup import prepare


def run(config: PretrainConfig, *, resume: bool = False, allow_change: bool = False) -> Path | None:
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
    references = representation_references(config.representations, config.views, setup.data, config.cache_folder)
    weights = {term.kind: term.weight for term in config.representations.terms if term.weight > 0}
    objective = Objective(loss=config.loss, weights=weights, sign=config.representations.sign)
    return train(config, setup, plan, objective, references, with_other=AUGMENTED_PIXELS in weights)


if __name__ == "__main__":
    sys.exit(execute(PretrainConfig, run, __doc__))
