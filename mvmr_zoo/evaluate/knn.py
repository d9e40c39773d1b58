"""`knn-v1`: weighted k-nearest-neighbor classification of frozen features.

Wu et al., *Unsupervised Feature Learning via Non-Parametric Instance Discrimination*, 2018. The similarity is the
cosine, and each vote has the weight exp(similarity / T).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo.errors import ConfigError
from mvmr_zoo.evaluate.labels import Answers, Classes, check_features, check_widths
from mvmr_zoo.inference import unit
from mvmr_zoo.search.index import faiss_library

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

TEMPERATURE = 0.07
NEIGHBORS = 20
_ROWS_AT_ONCE = 4096


def knn(
    train: NDArray[np.float32],
    train_labels: ArrayLike,
    test: NDArray[np.float32],
    test_labels: ArrayLike,
    *,
    k: int = NEIGHBORS,
    temperature: float = TEMPERATURE,
) -> Answers:
    """Classify each test image by its `k` nearest training images.

    Args:
        train: `(N, D)` features. They need not be normalized.
        train_labels: `(N,)` class labels, numbers or strings.
        test: `(M, D)` features.
        test_labels: `(M,)` class labels. They are read once, after the predictions. Images of classes that are not in
            `train_labels` count as errors.
        k: Number of neighbors, at least 1. At most N are used.
        temperature: Temperature T of the votes, above 0.

    Raises:
        ConfigError: `k` or `temperature` is out of range.
        DataError: A split is empty, features are not finite or differ in length, or labels do not match the features.
    """
    return knn_by_k(train, train_labels, test, test_labels, ks=(k,), temperature=temperature)[k]


def knn_by_k(
    train: NDArray[np.float32],
    train_labels: ArrayLike,
    test: NDArray[np.float32],
    test_labels: ArrayLike,
    *,
    ks: Sequence[int],
    temperature: float = TEMPERATURE,
) -> dict[int, Answers]:
    """`knn` for several numbers of neighbors, with one search for the largest.

    Args:
        train: See `knn`.
        train_labels: See `knn`.
        test: See `knn`.
        test_labels: See `knn`.
        ks: Numbers of neighbors, each at least 1.
        temperature: See `knn`.

    Raises:
        ConfigError: See `knn`.
        DataError: See `knn`.
    """
    if min(ks) < 1 or temperature <= 0:
        raise ConfigError(
            f"k is {min(ks)} and the temperature {temperature}; knn-v1 needs k of at least 1 and a temperature above 0."
        )
    classes, numbers = Classes.of(train_labels)
    check_features("train", train, len(numbers))
    check_features("test", test)
    check_widths(train, test)
    index = faiss_library().IndexFlatIP(train.shape[1])
    for start in range(0, len(train), _ROWS_AT_ONCE):  # avoids a second copy of all features
        index.add(unit(train[start : start + _ROWS_AT_ONCE]))
    predictions = [np.empty(len(test), np.int64) for _ in ks]
    for start in range(0, len(test), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        similarity, neighbors = index.search(unit(test[rows]), min(max(ks), len(train)))
        weights = np.exp((similarity - 1) / temperature)
        places = np.arange(len(similarity))[:, None] * len(classes) + numbers[neighbors]
        for k, predicted in zip(ks, predictions, strict=True):
            votes = np.bincount(places[:, :k].ravel(), weights[:, :k].ravel(), minlength=len(similarity) * len(classes))
            predicted[rows] = votes.reshape(len(similarity), len(classes)).argmax(axis=1)
    truth = classes.numbers(test_labels, len(test))
    return {
        k: Answers(float((predicted == truth).mean()), predicted, classes)
        for k, predicted in zip(ks, predictions, strict=True)
    }
