"""`semi-v1`: an encoder fine-tuned on 1 % or 10 % of the labels, scored on test by its own classifier.

`python -m training.finetune` trains on a fixed, stratified index file; nothing is fitted here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo.errors import DataError
from mvmr_zoo.evaluate.labels import Answers, Classes, among_top, check_features

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class SemiResult(Answers):
    """`Answers`, and

    Args:
        top5: `(M,)` whether each test row's class is among its five likeliest.
    """

    top5: NDArray[np.bool_]


def semi(logits: NDArray[np.float32], class_names: Sequence[str], test_labels: ArrayLike) -> SemiResult:
    """Score a classifier's answers.

    Args:
        logits: `(M, classes)` of the test images.
        class_names: of the columns, all different.
        test_labels: `(M,)` class names; a class that the classifier lacks is never right.

    Raises:
        DataError: no image, logits that are not finite, or not one column a class.
    """
    check_features("test", logits)
    if not logits.shape[1] == len(class_names) == len(set(class_names)):
        raise DataError(f"semi-v1 got {logits.shape[1]} logits an image for the classes {list(class_names)}.")
    order = np.argsort(class_names)
    classes, scores = Classes(np.asarray(class_names)[order]), logits[:, order]
    predictions = scores.argmax(axis=1)
    truth = classes.numbers(test_labels, len(logits))
    return SemiResult(float((predictions == truth).mean()), predictions, classes, among_top(scores, truth))
