"""Labels as class numbers, and checks of the input of protocols."""

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
        names: `(classes,)` distinct labels, numbers or strings.
    """

    names: NDArray[Any]

    @classmethod
    def of(cls, labels: ArrayLike) -> tuple[Classes, NDArray[np.int64]]:
        """The classes of labels `(N,)`, and the labels as class numbers from 0."""
        names, numbers = np.unique(np.asarray(labels), return_inverse=True)
        return cls(names), numbers.astype(np.int64)

    def __len__(self) -> int:
        return len(self.names)

    def numbers(self, labels: ArrayLike, count: int) -> NDArray[np.int64]:
        """Test labels as class numbers. Classes that are not in the training split have the number -1.

        Args:
            labels: Test labels `(count,)`.
            count: Number of test images.

        Raises:
            DataError: The number of labels is not `count`.
        """
        given = np.asarray(labels)
        if given.shape != (count,):
            raise DataError(
                f"The test split has {count} features and labels of shape {given.shape}; expected ({count},)."
            )
        at = np.minimum(np.searchsorted(self.names, given), len(self.names) - 1)
        return np.where(self.names[at] == given, at, -1).astype(np.int64)


@dataclass(frozen=True)
class Answers:
    """The predictions of a classifier.

    Args:
        accuracy: Fraction of correct predictions, in [0, 1].
        predictions: `(M,)` int64 class numbers.
        classes: Classes of the training split.
    """

    accuracy: float
    predictions: NDArray[np.int64]
    classes: Classes

    @property
    def answers(self) -> NDArray[Any]:
        """The predicted labels, `(M,)`."""
        return self.classes.names[self.predictions]


def check_features(what: str, features: NDArray[np.float32], count: int | None = None) -> None:
    """Raise DataError if a split is empty, has values that are not finite, or has not one label per row.

    Args:
        what: Name of the split, for the message.
        features: `(N, D)`.
        count: Number of labels. None if the labels are not read yet.
    """
    if features.ndim != 2 or not len(features):
        raise DataError(f"The {what} split has features of shape {features.shape}; expected (N, D) with N at least 1.")
    if count is not None and count != len(features):
        raise DataError(f"The {what} split has {len(features)} features and {count} labels; expected equal numbers.")
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        raise DataError(
            f"The {what} split contains NaN or infinite features; the first is in row {int(np.argmin(finite))}."
        )


def check_widths(train: NDArray[np.float32], test: NDArray[np.float32]) -> None:
    """Raise DataError if the features of the splits differ in length."""
    if train.shape[1] != test.shape[1]:
        raise DataError(
            f"Train features have {train.shape[1]} dimensions, test features {test.shape[1]}; expected equal numbers."
        )


def among_top(scores: NDArray[np.floating], labels: NDArray[np.int64], k: int = 5) -> NDArray[np.bool_]:
    """Whether the class of each row has one of its `k` highest scores, `(M,)` bool. Ties count against it.

    Args:
        scores: `(M, classes)`.
        labels: `(M,)` class numbers. -1 gives False.
    """
    own = scores[np.arange(len(scores)), labels]
    before = (scores >= own[:, None]).sum(axis=1) - 1
    return np.asarray((before < k) & (labels >= 0))


def confusion_counts(actual: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """The confusion matrix `(classes, classes)`: rows are actual classes, columns are predicted classes.

    Raises:
        DataError: A class number is not in 0 to `classes` - 1.
    """
    check_numbers(actual, classes)
    check_numbers(predicted, classes)
    return np.bincount(actual * classes + predicted, minlength=classes**2).reshape(classes, classes)


def check_numbers(numbers: NDArray[np.int64], classes: int) -> None:
    """Raise DataError if a class number is not in 0 to `classes` - 1."""
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < classes:
        raise DataError(f"The class numbers are {numbers.min()} to {numbers.max()}; expected 0 to {classes - 1}.")


def unit_scale(features: NDArray[np.float32]) -> np.float32:
    """The factor that gives features `(N, D)` a mean square of 1, so that strengths are comparable."""
    return np.float32(1 / max(float(np.sqrt(np.square(features, dtype=np.float64).mean())), 1e-12))
