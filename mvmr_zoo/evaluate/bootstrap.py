"""95% confidence intervals by bootstrap over test images (Efron 1979): percentiles of 2,000 resamples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
    """Results by name as a function of test images, so that they can be resampled together.

    Args:
        images: Number of test images N.
        statistic: Function from row numbers `(n,)` int64, which may repeat, to the results of these images in [0, 1].
    """

    images: int
    statistic: Callable[[NDArray[np.int64]], Mapping[str, float]]

    @property
    def values(self) -> Mapping[str, float]:
        """The results of all images."""
        return self.statistic(np.arange(self.images))


class Difference(NamedTuple):
    """The difference of two results on the same images, with its 95% confidence interval. All values are in [-1, 1]."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return "{:+.2f} [{:+.2f}, {:+.2f}] points".format(*(100 * each + 0.0 for each in self))


def means_of(values: Mapping[str, NDArray[np.floating] | NDArray[np.bool_]]) -> Measured:
    """Means of one value per image.

    Args:
        values: `(N,)` in [0, 1] or bool, by the name of the result.
    """
    numbers = {name: np.asarray(each, np.float64) for name, each in values.items()}
    (images,) = {len(each) for each in numbers.values()}
    return Measured(images, lambda rows: {name: float(each[rows].mean()) for name, each in numbers.items()})


def figures(measured: Measured, *, seed: int = 0, source: str = "") -> dict[str, Figure]:
    """Compute results and their confidence intervals. Each resample is drawn once, for all results.

    Args:
        measured: Results as a function of images.
        seed: Random seed of the resamples.
        source: Source to name in the results.
    """
    drawn = [measured.statistic(rows) for rows in _resamples(measured.images, seed)]
    found = {}
    for name, exact in measured.values.items():
        low, high = _percentiles([each[name] for each in drawn])
        value = round(exact, _DIGITS)
        found[name] = Figure(
            value=value, low=min(low, value), high=max(high, value), images=measured.images, source=source
        )
    return found


def differences(one: Measured, other: Measured, *, seed: int = 0) -> dict[str, Difference]:
    """Compute `one` minus `other` with a paired bootstrap: each resample draws the same images for both.

    Args:
        one: First results.
        other: Second results, of the same names and the same images in the same order.
        seed: Random seed of the resamples.
    """
    if one.images != other.images:
        raise ValueError(f"One result has {one.images} images, the other has {other.images}; expected the same images.")
    drawn = [(one.statistic(rows), other.statistic(rows)) for rows in _resamples(one.images, seed)]
    values = other.values
    return {
        name: Difference(
            round(value - values[name], _DIGITS), *_percentiles([first[name] - second[name] for first, second in drawn])
        )
        for name, value in one.values.items()
    }


def _resamples(images: int, seed: int) -> Iterator[NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    return (random.integers(0, images, images) for _ in range(_RESAMPLES))


def _percentiles(values: list[float]) -> tuple[float, float]:
    low, high = np.percentile(values, _ENDS)
    return round(float(low), _DIGITS), round(float(high), _DIGITS)
