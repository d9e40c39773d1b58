"""The whole run as one list of batches: the photos, the size of their views, and their seeds.

Batch t is a pure function of t, so a resumed run reads exactly the batches of an uninterrupted one.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mvmr_zoo.errors import DataError


@dataclass(frozen=True, kw_only=True)
class SizeStage:
    """The side of the views in pixels, `px`, from the share `start` of the run on."""

    start: float
    px: int


class Draw(NamedTuple):
    """One photo of one batch: its number, the side of its views, the seed of its augmentation, and the epoch from 0."""

    photo: int
    px: int
    seed: int
    epoch: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The batches of a run.

    Args:
        photos: Number of photos.
        batch_size: Photos per batch.
        epochs: Passes over the photos. An incomplete last batch of a pass is dropped.
        sizes: Image sizes by share of the run.
        seed: Random seed of order and augmentation.
        accumulate: Batches per optimizer step.
    """

    photos: int
    batch_size: int
    epochs: float
    sizes: tuple[SizeStage, ...]
    seed: int
    accumulate: int = 1

    def __post_init__(self) -> None:
        """Raise DataError for a batch larger than the data set."""
        if self.photos < self.batch_size:
            raise DataError(
                f"There are {self.photos} photos to train on, fewer than one batch of {self.batch_size}. "
                "Use more photos or a smaller optim.batch_size."
            )

    @property
    def batches_per_epoch(self) -> int:
        """Batches of one pass over the photos."""
        return self.photos // self.batch_size

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole run."""
        return max(1, round(self.epochs * self.batches_per_epoch / self.accumulate))

    @property
    def total_batches(self) -> int:
        """Batches of the whole run."""
        return self.total_steps * self.accumulate

    def batch(self, number: int) -> list[Draw]:
        """The photos of batch `number`, from 0."""
        epoch, within = divmod(number, self.batches_per_epoch)
        chosen = _order(self.seed, epoch, self.photos)[within * self.batch_size : (within + 1) * self.batch_size]
        seeds = np.random.default_rng((self.seed, 1, number)).integers(2**62, size=self.batch_size)
        px = self.size_at(number)
        return [Draw(int(index), px, int(seed), epoch) for index, seed in zip(chosen, seeds, strict=True)]

    def size_at(self, number: int) -> int:
        """The side of the views of batch `number`, in pixels."""
        share = number / self.total_batches
        return [stage.px for stage in self.sizes if stage.start <= share][-1]


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, photos: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, epoch)).permutation(photos)


class RemainingBatches(Iterable[list[Draw]]):
    """A batch sampler over the batches of a plan from `first` on. Each rank gets an equal share of every batch.

    Its length is that of the whole plan, because the trainer counts the batches before `first` too.

    Args:
        plan: The batches of the run.
        first: Number of the first batch, from 0.
        rank: Rank of this process.
        ranks: Number of processes that share every batch.
    """

    def __init__(self, plan: Plan, first: int, *, rank: int = 0, ranks: int = 1) -> None:
        self._plan = plan
        self._first = first
        self._share = slice(rank * plan.batch_size // ranks, (rank + 1) * plan.batch_size // ranks)

    def __len__(self) -> int:
        return self._plan.total_batches

    def __iter__(self) -> Iterator[list[Draw]]:
        return (self._plan.batch(number)[self._share] for number in range(self._first, self._plan.total_batches))
