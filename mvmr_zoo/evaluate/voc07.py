"""`voc07-v1`: one-vs-rest logistic regression on VOC07, mean average precision.

Everingham et al., *The PASCAL Visual Object Classes (VOC) Challenge*, 2010. The classifiers are fitted on trainval and
evaluated on test. For each class, photos that show it only as difficult are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo.datasets import DIFFICULT, PRESENT
from mvmr_zoo.errors import DataError
from mvmr_zoo.evaluate.average_precision import AveragePrecision, average_precision
from mvmr_zoo.evaluate.labels import check_features, check_widths, unit_scale

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mvmr_zoo.evaluate.logistic import Solution

COSTS = tuple(float(value) for value in 10.0 ** np.arange(-4, 4.01, 0.5))
"""Strengths in the search: the parameter C of scikit-learn, for features with a mean square of 1."""

FOLDS = 3


@dataclass(frozen=True)
class VocResult:
    """The result of `voc07`.

    Args:
        mean_eleven_point: Mean of the 11-point average precision over classes, in [0, 1].
        mean_area: Mean of the area under the precision-recall curve over classes, in [0, 1].
        classes: Average precision by class name.
        strengths: Chosen strength by class name.
        scores: `(N, classes)` scores of the test photos.
    """

    mean_eleven_point: float
    mean_area: float
    classes: dict[str, AveragePrecision]
    strengths: dict[str, float]
    scores: NDArray[np.float64]


def voc07(
    train: NDArray[np.float32],
    train_labels: NDArray[np.int64],
    test: NDArray[np.float32],
    test_labels: NDArray[np.int64],
    *,
    class_names: Sequence[str],
    seed: int = 0,
    device: str = "cpu",
) -> VocResult:
    """Fit one classifier per class, with its strength from 3-fold cross-validation, and evaluate on test once.

    Args:
        train: `(N, D)` features of trainval.
        train_labels: `(N, classes)`: 1 present, 0 absent, -1 difficult only. Rows with -1 are not used for that class.
        test: `(M, D)` features.
        test_labels: `(M, classes)`. They are read once, after the predictions.
        class_names: Names of the columns.
        seed: Random seed of the folds.
        device: `cpu` or `cuda`.

    Raises:
        DataError: A split is empty, features are not finite, or a class has fewer than three positive or negative
            photos in train, or no positive one in test.
        MissingDependencyError: PyTorch is not installed.
    """
    check_features("trainval", train, len(train_labels))
    check_features("test", test)
    check_widths(train, test)
    scale = unit_scale(train)
    train, test = train * scale, test * scale
    columns, strengths = [], {}
    for number, name in enumerate(class_names):
        known = train_labels[:, number] != DIFFICULT
        targets = (train_labels[known, number] == PRESENT).astype(np.int64)
        if min(targets.sum(), len(targets) - targets.sum()) < FOLDS:
            raise DataError(
                f"voc07-v1: in trainval, {targets.sum()} of {len(targets)} photos show {name}; expected at least "
                f"{FOLDS} photos with it and {FOLDS} without it."
            )
        strengths[name] = _chosen(train[known], targets, seed, device)
        (found,) = _path(train[known], targets, [strengths[name]], device)
        columns.append(found.logits(test) @ (-1.0, 1.0))
    scores = np.stack(columns, axis=1)
    truth = np.asarray(test_labels)
    for number, name in enumerate(class_names):
        if not (truth[:, number] == PRESENT).any():
            raise DataError(f"voc07-v1: no photo of test shows {name}, so its average precision is not defined.")
    precisions = {
        name: each
        for name, each in zip(class_names, precisions_by_class(scores, truth), strict=True)
        if each is not None
    }
    return VocResult(
        float(np.mean([each.eleven_point for each in precisions.values()])),
        float(np.mean([each.area for each in precisions.values()])),
        precisions,
        strengths,
        scores,
    )


def precisions_by_class(scores: NDArray[np.float64], truth: NDArray[np.int64]) -> list[AveragePrecision | None]:
    """Average precision of each class. It is None for a class without a positive photo.

    Args:
        scores: `(N, classes)`.
        truth: `(N, classes)`: 1 present, 0 absent, -1 difficult only. Entries of -1 are ignored.
    """
    found: list[AveragePrecision | None] = []
    for column, labels in zip(scores.T, truth.T, strict=True):
        judged = labels != DIFFICULT
        shown = (labels == PRESENT).any()
        found.append(average_precision(column[judged], labels[judged] == PRESENT) if shown else None)
    return found


def _chosen(features: NDArray[np.float32], targets: NDArray[np.int64], seed: int, device: str) -> float:
    """The strength with the highest mean area over the folds. The lowest of equal ones."""
    fold = np.empty(len(targets), np.int64)
    random = np.random.default_rng(seed)
    for label in (0, 1):
        rows = random.permutation(np.flatnonzero(targets == label))
        fold[rows] = np.arange(len(rows)) % FOLDS
    totals = dict.fromkeys(COSTS, 0.0)
    for out in range(FOLDS):
        for each in _path(features[fold != out], targets[fold != out], COSTS, device, to_choose=True):
            scores = each.logits(features[fold == out]) @ (-1.0, 1.0)
            totals[each.strength] += average_precision(scores, targets[fold == out] == 1).area
    return max(totals, key=lambda strength: (totals[strength], -strength))


def _path(
    features: NDArray[np.float32],
    targets: NDArray[np.int64],
    strengths: Sequence[float],
    device: str,
    *,
    to_choose: bool = False,
) -> Iterator[Solution]:
    from mvmr_zoo.evaluate.logistic import FINAL_TOLERANCE, SWEEP_TOLERANCE, logistic_path

    tolerance = SWEEP_TOLERANCE if to_choose else FINAL_TOLERANCE
    return logistic_path(features, targets, 2, strengths, device=device, tolerance=tolerance)
