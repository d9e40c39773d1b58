from __future__ import annotations

import numpy as np
import pytest

from mvmr_zoo.errors import DataError
from mvmr_zoo.evaluate import knn, knn_by_k


def naive_knn(train, train_labels, test, k, temperature):
    """One row at a time, by the formula."""
    predictions = []
    for row in test:
        similarity = [float(row @ t / np.linalg.norm(row) / np.linalg.norm(t)) for t in train]
        nearest = np.argsort(similarity)[::-1][:k]
        votes: dict[int, float] = {}
        for i in nearest:
            label = int(train_labels[i])
            votes[label] = votes.get(label, 0.0) + np.exp(similarity[i] / temperature)
        predictions.append(max(votes, key=lambda label: votes[label]))
    return predictions


@pytest.mark.parametrize("k", [1, 5, 20, 500])
def test_equals_the_naive_loop(k: int) -> None:
    random = np.random.default_rng(k)
    train, test = random.standard_normal((90, 6)).astype(np.float32), random.standard_normal((40, 6)).astype(np.float32)
    labels = random.integers(0, 4, 90)
    result = knn(train, labels, test, random.integers(0, 4, 40), k=k)
    assert result.predictions.tolist() == naive_knn(train, labels, test, k, 0.07)


def test_one_search_gives_the_answers_of_several() -> None:
    random = np.random.default_rng(0)
    train, test = (
        random.standard_normal((300, 6)).astype(np.float32),
        random.standard_normal((90, 6)).astype(np.float32),
    )
    labels, truth = random.integers(0, 4, 300), random.integers(0, 4, 90)
    found = knn_by_k(train, labels, test, truth, ks=(20, 1, 5, 200))
    assert list(found) == [20, 1, 5, 200]
    for k, each in found.items():
        alone = knn(train, labels, test, truth, k=k)
        assert each.predictions.tolist() == alone.predictions.tolist() == naive_knn(train, labels, test, k, 0.07)
        assert each.accuracy == alone.accuracy


def test_labels_as_features_are_always_right_and_noise_is_chance() -> None:
    random = np.random.default_rng(0)
    labels, test_labels = random.integers(0, 10, 400), random.integers(0, 10, 300)
    eye = np.eye(10, dtype=np.float32)
    assert knn(eye[labels], labels, eye[test_labels], test_labels).accuracy == 1.0
    noise = random.standard_normal((700, 8)).astype(np.float32)
    assert abs(knn(noise[:400], labels, noise[400:], test_labels).accuracy - 0.1) < 0.06


def test_scale_of_features_does_not_matter() -> None:
    random = np.random.default_rng(0)
    train, test = random.standard_normal((50, 6)).astype(np.float32), random.standard_normal((20, 6)).astype(np.float32)
    labels = random.integers(0, 3, 50)
    one = knn(train, labels, test, labels[:20])
    two = knn(train * 100, labels, test * 0.01, labels[:20])
    assert one.predictions.tolist() == two.predictions.tolist()


@pytest.mark.parametrize(("rows", "width"), [((0, 3), (4, 4)), ((3, 0), (4, 4)), ((3, 3), (4, 5))])
def test_splits_that_cannot_be_compared(rows: tuple[int, int], width: tuple[int, int]) -> None:
    train, test = np.ones((rows[0], width[0]), np.float32), np.ones((rows[1], width[1]), np.float32)
    with pytest.raises(DataError):
        knn(train, np.zeros(rows[0], np.int64), test, np.zeros(rows[1], np.int64))
