"""`voc07-v1`: one-vs-rest logistic regression on VOC07, mean average precision.

Everingham et al., *The PASCAL Visual Object Classes (VOC) Challenge*, 2010: fitted on trainval, scored on test,
average precision a class over the photos that do not show it as difficult only, then the mean over classes.
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
"""Strengths tried, scikit-learn's C, on features of unit mean square."""

FOLDS = 3


@dataclass(frozen=True)
class VocResult:
    """Args:
    mean_eleven_point, mean_area: over classes, in [0, 1].
    classes: average precision by class name.
    strengths: the one chosen for each class.
    scores: `(N, classes)` of the test photos.
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
    """Fit each class against the rest, its strength by 3-fold cross-validation on train, and score test once.

    Args:
        train: `(N, D)` features of trainval.
        train_labels: `(N, classes)` of 1 present, 0 absent, -1 difficult only; those rows are not trained on.
        test: `(M, D)` features.
        test_labels: `(M, classes)`; read once, at the end.
        class_names: of the columns.
        seed: of the folds.
        device: `cpu` or `cuda`.

    Raises:
        DataError: an empty split, features that are not finite, or a class with fewer than three photos that show
            it, or that do not, in train, or none in test.
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
                f"voc07-v1: trainval shows {name} in {targets.sum()} of {len(targets)} photos; expected at least "
                f"{FOLDS} that show it and {FOLDS} that do not."
            )
        strengths[name] = _chosen(train[known], targets, seed, device)
        (found,) = _path(train[known], targets, [strengths[name]], device)
        columns.append(found.logits(test) @ (-1.0, 1.0))
    scores = np.stack(columns, axis=1)
    truth = np.asarray(test_labels)
    for number, name in enumerate(class_names):
        if not (truth[:, number] == PRESENT).any():
            raise DataError(f"voc07-v1: test has no photo of {name}; its average precision is not defined.")
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
    """Average precision of each class, over the photos that do not show it as difficult only; None where none shows it.

    Args:
        scores: `(N, classes)`.
        truth: `(N, classes)` of 1 present, 0 absent, -1 difficult only.
    """
    found: list[AveragePrecision | None] = []
    for column, labels in zip(scores.T, truth.T, strict=True):
        judged = labels != DIFFICULT
        shown = (labels == PRESENT).any()
        found.append(average_precision(column[judged], labels[judged] == PRESENT) if shown else None)
    return found


def _chosen(features: NDArray[np.float32], targets: NDArray[np.int64], seed: int, device: str) -> float:
    """The strength of the highest mean area over the folds; of equal ones the lowest."""
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
