"""`knn@1`: weighted k-nearest-neighbour classification of frozen features.

Wu et al., *Unsupervised Feature Learning via Non-Parametric Instance Discrimination*, 2018:
cosine similarity, votes weighted by exp(similarity / T).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo.errors import DataError
from mvmr_zoo.features import unit
from mvmr_zoo.nearest import faiss_library

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEMPERATURE = 0.07
NEIGHBOURS = 20


@dataclass(frozen=True)
class KnnResult:
    """Args:
    accuracy: share of test rows given their own class, in [0, 1].
    predictions: `(N,)` int64 class of each test row.
    """

    accuracy: float
    predictions: NDArray[np.int64]


def knn(
    train: NDArray[np.float32],
    train_labels: NDArray[np.int64],
    test: NDArray[np.float32],
    test_labels: NDArray[np.int64],
    *,
    k: int = NEIGHBOURS,
    temperature: float = TEMPERATURE,
) -> KnnResult:
    """Classify every test row by its `k` nearest train rows.

    Args:
        train: `(N, D)` features, any length; they are scaled to unit norm here.
        train_labels: `(N,)` classes, from 0.
        test: `(M, D)` features.
        test_labels: `(M,)` classes.
        k: neighbours that vote, at least 1; no more than N take part.
        temperature: of the votes, positive.

    Raises:
        DataError: an empty split, different widths, or labels that do not fit the features.
    """
    if not len(train) or not len(test):
        raise DataError(f"k-NN got {len(train)} train and {len(test)} test rows; expected at least one of each.")
    if train.shape[1] != test.shape[1] or len(train) != len(train_labels) or len(test) != len(test_labels):
        raise DataError(
            f"k-NN got train {train.shape} with {len(train_labels)} labels and test {test.shape} with "
            f"{len(test_labels)}; expected equal widths, and a label a row."
        )
    index = faiss_library().IndexFlatIP(train.shape[1])
    index.add(unit(train))
    similarity, neighbours = index.search(unit(test), min(k, len(train)))
    votes = np.zeros((len(test), int(train_labels.max()) + 1))
    weights = np.exp((similarity - 1) / temperature)
    np.add.at(votes, (np.arange(len(test))[:, None], train_labels[neighbours]), weights)
    predictions = votes.argmax(axis=1).astype(np.int64)
    return KnnResult(accuracy=float((predictions == test_labels).mean()), predictions=predictions)
