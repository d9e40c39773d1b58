"""Test labels that cannot be read: every protocol comes as far as its last line, with all predictions made."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mvmr_zoo.errors import DataError
from mvmr_zoo.evaluate import knn, linear, linear_sgd, semi, voc07

from .splits import blobs

TRAIN, LABELS, TEST, _ = blobs(200, 40)
SHOWN = np.eye(4, dtype=np.int64)[LABELS]
NAMES = ("a", "b", "c", "d")


class UnreadableError(Exception):
    """Somebody looked."""


class Unreadable:
    """Labels that tell nothing, neither their values nor how many they are."""

    def __getattribute__(self, name: str) -> object:
        raise UnreadableError(name)

    def __array__(self, *_: object) -> np.ndarray:
        raise UnreadableError

    def __len__(self) -> int:
        raise UnreadableError

    def __getitem__(self, _: object) -> object:
        raise UnreadableError

    def __iter__(self) -> object:
        raise UnreadableError


@pytest.mark.parametrize(
    ("protocol", "run", "made"),
    [
        ("knn_by_k", lambda labels: knn(TRAIN, LABELS, TEST, labels), "predictions"),
        ("linear", lambda labels: linear(TRAIN, LABELS, TEST, labels), "predictions"),
        ("linear_sgd", lambda labels: linear_sgd([TRAIN], LABELS, TEST, labels), "predictions"),
        ("semi", lambda labels: semi(TEST[:, :4], NAMES, labels), "predictions"),
        ("voc07", lambda labels: voc07(TRAIN, SHOWN, TEST, labels, class_names=NAMES), "scores"),
    ],
)
def test_labels_are_read_when_the_predictions_are_there(
    protocol: str, run: Callable[[object], object], made: str
) -> None:
    with pytest.raises(UnreadableError) as caught:
        run(Unreadable())
    (frame,) = [entry for entry in caught.traceback if entry.name == protocol]
    found = frame.locals[made]
    rows = found[-1] if isinstance(found, list) else found
    assert len(rows) == len(TEST)
    assert protocol != "linear_sgd" or len(found) == 100


@pytest.mark.parametrize("run", [knn, linear, lambda *splits: linear_sgd([splits[0]], *splits[1:])])
def test_labels_of_another_number(run: Callable[..., object]) -> None:
    for wrong in ([0], [0] * 41):
        with pytest.raises(DataError, match="The test split has 40 features and labels of shape"):
            run(TRAIN, LABELS, TEST, wrong)
