"""`semi-v1`: test accuracy of an encoder that was fine-tuned with its classifier on 1 % or 10 % of the labels.

`python -m training.finetune` trains it on a fixed, stratified index file. This protocol trains nothing.
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
    """`Answers`, and the top-5 result.

    Args:
        top5: `(M,)` whether the class of each test image is one of the five most likely.
    """

    top5: NDArray[np.bool_]


def semi(logits: NDArray[np.float32], class_names: Sequence[str], test_labels: ArrayLike) -> SemiResult:
    """Evaluate the logits of a classifier.

    Args:
        logits: `(M, classes)` logits of the test images.
        class_names: Distinct class names of the columns.
        test_labels: `(M,)` class names. Images of classes that are not in `class_names` count as errors.

    Raises:
        DataError: There is no image, logits are not finite, or the number of columns is not that of the classes.
    """
    check_features("test", logits)
    if not logits.shape[1] == len(class_names) == len(set(class_names)):
        raise DataError(
            f"There are {logits.shape[1]} logits per image for the classes {list(class_names)}; semi-v1 needs one "
            "logit for each class, and unique class names."
        )
    order = np.argsort(class_names)
    classes, scores = Classes(np.asarray(class_names)[order]), logits[:, order]
    predictions = scores.argmax(axis=1)
    truth = classes.numbers(test_labels, len(logits))
    return SemiResult(float((predictions == truth).mean()), predictions, classes, among_top(scores, truth))
