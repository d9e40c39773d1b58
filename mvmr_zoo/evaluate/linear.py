"""`linear-v1`: logistic regression on frozen features. Its strength is chosen on a held-out tenth of train.

Radford et al., *Learning Transferable Visual Models From Natural Language Supervision*, 2021, section 3.2 and
appendix A.3: L-BFGS, L2 strength swept on a logarithmic grid, refitted on all of train.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo.datasets import held_out_rows
from mvmr_zoo.errors import DataError
from mvmr_zoo.evaluate.labels import Answers, Classes, among_top, check_features, check_widths, unit_scale

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from mvmr_zoo.evaluate.logistic import Solution

STRENGTHS = tuple(float(value) for value in 10.0 ** np.arange(-6, 5.01, 0.25))
"""45 strengths: the parameter C of scikit-learn, for features with a mean square of 1."""

HELD_OUT = 0.1


@dataclass(frozen=True)
class LinearResult(Answers):
    """`Answers`, and details of the fit.

    Args:
        strength: Chosen strength.
        sweep: Held-out accuracy by strength.
        gradient: Largest absolute entry of the gradient of the loss at the end of the fit, in float64.
        top5: `(M,)` whether the class of each test image is one of the five most likely.
    """

    strength: float
    sweep: dict[float, float]
    gradient: float
    top5: NDArray[np.bool_]


def linear(
    train: NDArray[np.float32],
    train_labels: ArrayLike,
    test: NDArray[np.float32],
    test_labels: ArrayLike,
    *,
    seed: int = 0,
    device: str = "cpu",
) -> LinearResult:
    """Choose the strength on a held-out tenth of train, fit on all of train, and evaluate on test once.

    Features are divided by their root mean square, one number, so that strengths are comparable between encoders. Of
    strengths with equal held-out accuracy, the lowest is used.

    Args:
        train: `(N, D)` features.
        train_labels: `(N,)` class labels, numbers or strings.
        test: `(M, D)` features. For several crops pass their mean, which is equivalent to the mean of the logits.
        test_labels: `(M,)` class labels. They are read once, after the predictions. Images of classes that are not in
            `train_labels` count as errors.
        seed: Random seed of the held-out tenth.
        device: `cpu` or `cuda`.

    Raises:
        DataError: A split is empty, features are not finite, or train has a single class or no class with two images.
        MissingDependencyError: PyTorch is not installed.
    """
    from mvmr_zoo.evaluate.logistic import SWEEP_TOLERANCE, largest_gradient, logistic_path

    classes, numbers = Classes.of(train_labels)
    check_features("train", train, len(numbers))
    check_features("test", test)
    check_widths(train, test)
    if len(classes) < 2:
        raise DataError(f"The training split has {len(classes)} class; linear-v1 needs at least two.")
    held = held_out_rows(numbers, HELD_OUT, seed)
    if not held.any():
        raise DataError(
            "linear-v1 needs a class with at least two images, because the regularization strength is chosen on "
            "held-out images."
        )
    scale = unit_scale(train)
    scaled = train * scale
    sweep = {
        each.strength: _accuracy(each, scaled[held], numbers[held])
        for each in logistic_path(
            scaled[~held], numbers[~held], len(classes), STRENGTHS, device=device, tolerance=SWEEP_TOLERANCE
        )
    }
    chosen = max(sweep, key=lambda strength: (sweep[strength], -strength))
    (found,) = logistic_path(scaled, numbers, len(classes), [chosen], device=device)
    logits = found.logits(test * scale)
    predictions = logits.argmax(axis=1)
    truth = classes.numbers(test_labels, len(test))
    return LinearResult(
        accuracy=float((predictions == truth).mean()),
        predictions=predictions,
        classes=classes,
        strength=chosen,
        sweep=sweep,
        gradient=largest_gradient(scaled, numbers, found),
        top5=among_top(logits, truth),
    )


def _accuracy(solution: Solution, features: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    return float((solution.logits(features).argmax(axis=1) == labels).mean())
