from __future__ import annotations

import numpy as np
import pytest

from mvmr_zoo.errors import DataError
from mvmr_zoo.evaluate.linear import STRENGTHS, linear
from mvmr_zoo.evaluate.logistic import largest_gradient, logistic_path


def blobs(rows: int, classes: int, dim: int, seed: int, spread: float = 1.0):
    """Features of overlapping classes, their axes of very different scale, and labels."""
    random = np.random.default_rng(seed)
    centers = np.random.default_rng(99).standard_normal((classes, dim)) * spread
    labels = np.arange(rows) % classes
    scales = 10.0 ** np.linspace(-1.5, 0.5, dim)
    features = (centers[labels] + random.standard_normal((rows, dim))) * scales + 3
    return features.astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_probabilities_equal_scikit_learns(classes: int) -> None:
    from sklearn.linear_model import LogisticRegression

    features, labels = blobs(400, classes, 12, seed=0, spread=0.4)
    strengths = [1e-4, 1e-2, 1.0, 100.0]
    for found in logistic_path(features, labels, classes, strengths):
        theirs = LogisticRegression(C=found.strength, tol=1e-9, max_iter=100_000)
        theirs.fit(features.astype(np.float64), labels)
        logits = found.logits(features)
        ours = np.exp(logits - logits.max(axis=1, keepdims=True))
        ours /= ours.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(ours, theirs.predict_proba(features.astype(np.float64)), atol=1e-3)
        assert largest_gradient(features, labels, found) < 1e-3


def test_the_path_is_that_of_each_strength_alone() -> None:
    features, labels = blobs(300, 4, 8, seed=1)
    path = list(logistic_path(features, labels, 4, STRENGTHS[8:33:6]))
    for found in path:
        (alone,) = logistic_path(features, labels, 4, [found.strength])
        np.testing.assert_allclose(found.logits(features), alone.logits(features), atol=0.02)


def test_chosen_on_train_and_near_scikit_learns_best() -> None:
    from sklearn.linear_model import LogisticRegression

    train, labels = blobs(600, 5, 20, seed=2, spread=0.3)
    test, test_labels = blobs(400, 5, 20, seed=3, spread=0.3)
    result = linear(train, labels, test, test_labels)
    scaled = train / np.sqrt(np.square(train).mean()), test / np.sqrt(np.square(train).mean())
    theirs = LogisticRegression(C=result.strength, max_iter=20_000, tol=1e-8).fit(scaled[0], labels)
    assert abs(result.accuracy - theirs.score(scaled[1], test_labels)) <= 0.005
    assert list(result.sweep) == list(STRENGTHS)
    assert result.sweep[result.strength] == max(result.sweep.values())
    assert result.gradient < 1e-4


def test_scale_does_not_matter() -> None:
    train, labels = blobs(200, 3, 6, seed=4)
    test, test_labels = blobs(100, 3, 6, seed=5)
    one = linear(train, labels, test, test_labels)
    two = linear(train * 1000, labels, test * 1000, test_labels)
    assert one.strength == two.strength
    assert (one.predictions == two.predictions).all()


def test_labels_as_features_are_always_right_and_noise_is_chance() -> None:
    random = np.random.default_rng(0)
    labels, test_labels = np.arange(300) % 10, random.integers(0, 10, 500)
    eye = np.eye(10, dtype=np.float32)
    assert linear(eye[labels], labels, eye[test_labels], test_labels).accuracy == 1.0
    noise = random.standard_normal((800, 8)).astype(np.float32)
    assert abs(linear(noise[:300], labels, noise[300:], test_labels).accuracy - 0.1) < 0.045


class Sealed:
    """Labels that must not be read before the predictions are there."""

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        raise RuntimeError("the test labels were read")


def test_the_test_labels_are_read_last(monkeypatch: pytest.MonkeyPatch) -> None:
    import mvmr_zoo.evaluate.logistic as logistic

    train, labels = blobs(100, 3, 4, seed=6)
    solved, before = [], logistic.Solution.logits

    def counted(solution: logistic.Solution, rows: np.ndarray) -> np.ndarray:
        solved.append(len(rows))
        return before(solution, rows)

    monkeypatch.setattr(logistic.Solution, "logits", counted)
    with pytest.raises(RuntimeError, match="were read"):
        linear(train, labels, train[:33], Sealed())
    assert len(solved) == len(STRENGTHS) + 1
    assert solved[-1] == 33


def test_input_that_is_odd_but_has_an_answer() -> None:
    train, labels = blobs(90, 3, 4, seed=7)
    names = np.array(["cat", "dog", "cow"])
    constant = np.concatenate([train, np.full((90, 1), 7, np.float32)], axis=1)
    words = linear(constant, names[labels], constant, names[labels])
    numbers = linear(train, labels, train, labels)
    assert words.accuracy == pytest.approx(numbers.accuracy, abs=0.05)
    assert words.classes.names.tolist() == ["cat", "cow", "dog"]
    unseen = linear(train, labels, train[:10], np.full(10, 9))
    assert unseen.accuracy == 0.0


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        (np.ones((3, 2)), [0, 1, 2], "needs a class with at least two images"),
        (np.ones((3, 2)), [0, 0, 0], "The training split has 1 class; linear-v1 needs at least two"),
        (np.ones((0, 2)), [], "train split has features of shape"),
        (np.ones((3, 2)), [0, 1], "3 features and 2 labels"),
        (
            np.array([[1, 2], [np.nan, 1], [0, 0]]),
            [0, 1, 1],
            "contains NaN or infinite features; the first is in row 1",
        ),
        (np.ones((4, 3)), [0, 0, 1, 1], "Train features have 3 dimensions, test features 2"),
    ],
)
def test_input_without_an_answer(rows: np.ndarray, labels: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        linear(rows.astype(np.float32), labels, np.ones((2, 2), np.float32), [0, 1])
