"""Labels of any kind as class numbers, and what is asked of every protocol's input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Classes:
    """The classes of a training split, in sorted order.

    Args:
        names: `(classes,)` the distinct labels: numbers or text.
    """

    names: NDArray[Any]

    @classmethod
    def of(cls, labels: ArrayLike) -> tuple[Classes, NDArray[np.int64]]:
        """The classes of some labels `(N,)`, and the labels as class numbers from 0."""
        names, numbers = np.unique(np.asarray(labels), return_inverse=True)
        return cls(names), numbers.astype(np.int64)

    def __len__(self) -> int:
        return len(self.names)

    def numbers(self, labels: ArrayLike, count: int) -> NDArray[np.int64]:
        """The test labels as class numbers; -1 where the training split lacks the class, so no answer is right.

        Args:
            labels: `(count,)`.
            count: of the test rows.

        Raises:
            DataError: another number of labels.
        """
        given = np.asarray(labels)
        if given.shape != (count,):
            raise DataError(f"The test split has {count} features and labels of shape {given.shape}; expected as many.")
        at = np.minimum(np.searchsorted(self.names, given), len(self.names) - 1)
        return np.where(self.names[at] == given, at, -1).astype(np.int64)


@dataclass(frozen=True)
class Answers:
    """What a classifier said of each test row.

    Args:
        accuracy: share of test rows given their own class, in [0, 1].
        predictions: `(M,)` int64 class number of each test row, in the order of `classes`.
        classes: of train.
    """

    accuracy: float
    predictions: NDArray[np.int64]
    classes: Classes

    @property
    def answers(self) -> NDArray[Any]:
        """The label given to each test row: `classes` of `predictions`."""
        return self.classes.names[self.predictions]


def check_features(what: str, features: NDArray[np.float32], count: int | None = None) -> None:
    """Raise DataError for an empty split, rows that are not finite, or another number of labels than of rows.

    Args:
        what: the split, for the message.
        features: `(N, D)`.
        count: of its labels; None where they may not be looked at yet.
    """
    if features.ndim != 2 or not len(features):
        raise DataError(f"The {what} split has features of shape {features.shape}; expected (N, D) with N at least 1.")
    if count is not None and count != len(features):
        raise DataError(f"The {what} split has {len(features)} features and {count} labels; expected as many.")
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        raise DataError(f"The {what} split has features that are not finite, first in row {int(np.argmin(finite))}.")


def check_widths(train: NDArray[np.float32], test: NDArray[np.float32]) -> None:
    """Raise DataError where two splits come from different encoders."""
    if train.shape[1] != test.shape[1]:
        raise DataError(f"Train has {train.shape[1]} features a row, test {test.shape[1]}; expected as many.")


def among_top(scores: NDArray[np.floating], labels: NDArray[np.int64], k: int = 5) -> NDArray[np.bool_]:
    """Whether each row's class is among its `k` highest scores: `(M,)` bool. Scores that tie with it stand before it.

    Args:
        scores: `(M, classes)`.
        labels: `(M,)` class numbers; -1 is never among them.
    """
    own = scores[np.arange(len(scores)), labels]
    before = (scores >= own[:, None]).sum(axis=1) - 1
    return np.asarray((before < k) & (labels >= 0))


def confusion_counts(actual: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """How many of each actual class were given each class: `(classes, classes)`, actual by predicted.

    Raises:
        DataError: a class number outside of 0 to `classes` - 1.
    """
    check_numbers(actual, classes)
    check_numbers(predicted, classes)
    return np.bincount(actual * classes + predicted, minlength=classes**2).reshape(classes, classes)


def check_numbers(numbers: NDArray[np.int64], classes: int) -> None:
    """Raise DataError for a class number outside of 0 to `classes` - 1."""
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < classes:
        raise DataError(f"Got class numbers {numbers.min()} to {numbers.max()}; expected 0 to {classes - 1}.")


def unit_scale(features: NDArray[np.float32]) -> np.float32:
    """What to multiply features `(N, D)` by for a mean square of 1, so that a strength means the same everywhere."""
    return np.float32(1 / max(float(np.sqrt(np.square(features, dtype=np.float64).mean())), 1e-12))
