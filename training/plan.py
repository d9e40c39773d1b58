"""The whole run as one list of steps: which photos, at which size, under which seeds.

Everything about step t is a pure function of t, so a run that resumes at step t sees exactly what
it would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from mvmr_zoo.errors import DataError
from training.config import SizeStage


class Draw(NamedTuple):
    """One photo of one step: its number, the size of its views, the seed of its augmentation."""

    photo: int
    px: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What every step of a run reads.

    Args:
        photos: how many there are.
        batch_size: photos a step.
        epochs: passes over the photos; the last batch of a pass that does not fill is left out.
        sizes: image sizes by share of the run.
        seed: of order and augmentation.
    """

    photos: int
    batch_size: int
    epochs: float
    sizes: tuple[SizeStage, ...]
    seed: int

    def __post_init__(self) -> None:
        """Raise DataError for a batch larger than the data set."""
        if self.photos < self.batch_size:
            raise DataError(
                f"There are {self.photos} photos to train on, fewer than one batch of {self.batch_size}. "
                "Give more photos, or a smaller optim.batch_size."
            )

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass over the photos."""
        return self.photos // self.batch_size

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return max(1, round(self.epochs * self.steps_per_epoch))

    def batch(self, step: int) -> list[Draw]:
        """The photos of `step`, from 0."""
        epoch, within = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((self.seed, epoch)).permutation(self.photos)
        chosen = order[within * self.batch_size : (within + 1) * self.batch_size]
        seeds = np.random.default_rng((self.seed, 1, step)).integers(2**62, size=self.batch_size)
        px = self.size_at(step)
        return [Draw(int(index), px, int(seed)) for index, seed in zip(chosen, seeds, strict=True)]

    def size_at(self, step: int) -> int:
        """The side of the views of `step`, in pixels."""
        share = step / self.total_steps
        return [stage.px for stage in self.sizes if stage.start <= share][-1]


class RemainingSteps(Sampler[list[Draw]]):
    """A batch sampler over the steps of a plan from `first` on.

    Its length is that of the whole plan: the trainer counts the steps already taken.
    """

    def __init__(self, plan: Plan, first: int) -> None:
        self._plan = plan
        self._first = first

    def __len__(self) -> int:
        return self._plan.total_steps

    def __iter__(self) -> Iterator[list[Draw]]:
        return (self._plan.batch(step) for step in range(self._first, self._plan.total_steps))
