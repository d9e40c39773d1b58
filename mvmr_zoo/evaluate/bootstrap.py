"""95% confidence intervals by bootstrap over test images (Efron 1979): percentiles of 2,000 resamples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mvmr_zoo.checkpoint import Figure

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RESAMPLES = 2000
_ENDS = (2.5, 97.5)
_DIGITS = 4


@dataclass(frozen=True)
class Measured:
    """A result as a function of test images, so that it can be resampled.

    Args:
        images: Number of test images N.
        statistic: Function from row numbers `(n,)` int64, which may repeat, to the result of these images in [0, 1].
    """

    images: int
    statistic: Callable[[NDArray[np.int64]], float]

    @property
    def value(self) -> float:
        """The result of all images."""
        return self.statistic(np.arange(self.images))


class Difference(NamedTuple):
    """The difference of two results on the same images, with its 95% confidence interval. All values are in [-1, 1]."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return "{:+.2f} [{:+.2f}, {:+.2f}] points".format(*(100 * each + 0.0 for each in self))


def mean_of(values: NDArray[np.floating] | NDArray[np.bool_]) -> Measured:
    """The mean of one value per image, `(N,)` in [0, 1] or bool."""
    numbers = np.asarray(values, np.float64)
    return Measured(len(numbers), lambda rows: float(numbers[rows].mean()))


def figure(measured: Measured, *, seed: int = 0, source: str = "") -> Figure:
    """Compute a result and its confidence interval.

    Args:
        measured: Figure as a function of images.
        seed: Random seed of the resamples.
        source: Source to name in the result.
    """
    low, high = _percentiles([measured.statistic(rows) for rows in _resamples(measured.images, seed)])
    value = round(measured.value, _DIGITS)
    return Figure(value=value, low=min(low, value), high=max(high, value), images=measured.images, source=source)


def difference(one: Measured, other: Measured, *, seed: int = 0) -> Difference:
    """Compute `one` minus `other` with a paired bootstrap: each resample draws the same images for both.

    Args:
        one: First result.
        other: Second result, of the same images in the same order.
        seed: Random seed of the resamples.
    """
    if one.images != other.images:
        raise ValueError(f"One result has {one.images} images, the other has {other.images}; expected the same images.")
    drawn = [one.statistic(rows) - other.statistic(rows) for rows in _resamples(one.images, seed)]
    return Difference(round(one.value - other.value, _DIGITS), *_percentiles(drawn))


def _resamples(images: int, seed: int) -> Iterator[NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    return (random.integers(0, images, images) for _ in range(_RESAMPLES))


def _percentiles(values: list[float]) -> tuple[float, float]:
    low, high = np.percentile(values, _ENDS)
    return round(float(low), _DIGITS), round(float(high), _DIGITS)
