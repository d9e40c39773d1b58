from __future__ import annotations

import math

import numpy as np
import pytest

from export.agreement import Agreement, agreement, cosines, neighbor_agreement
from mvmr_zoo.inference.pipeline import unit


def pair(seed: int, n: int = 30, d: int = 8, noise: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    reference = random.standard_normal((n, d)).astype(np.float32)
    return reference, reference + noise * random.standard_normal((n, d)).astype(np.float32)


def at_angles(*degrees: float) -> np.ndarray:
    """Return two-dimensional features `(N, 2)`, one row per angle."""
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def naive_cosine(one: np.ndarray, two: np.ndarray) -> float:
    product = sum(a * b for a, b in zip(one.tolist(), two.tolist(), strict=True))
    return product / math.sqrt(sum(a * a for a in one.tolist()) * sum(b * b for b in two.tolist()))


def naive_neighbors(features: np.ndarray, photo: int, k: int) -> set[int]:
    others = [other for other in range(len(features)) if other != photo]
    return set(sorted(others, key=lambda other: -naive_cosine(features[photo], features[other]))[:k])


def naive_neighbor_agreement(reference: np.ndarray, found: np.ndarray, k: int) -> float:
    """Return the fraction of shared nearest neighbors. Assumes that there are no ties."""
    shared = sum(
        len(naive_neighbors(reference, photo, k) & naive_neighbors(found, photo, k)) for photo in range(len(reference))
    )
    return shared / (k * len(reference))


@pytest.mark.parametrize("seed", range(4))
def test_agreement_matches_the_naive_definition(seed: int) -> None:
    reference, found = pair(seed)
    result = agreement(reference, found)
    each = [naive_cosine(one, two) for one, two in zip(reference, found, strict=True)]
    errors = [abs(float(a) - float(b)) for a, b in zip(reference.flat, found.flat, strict=True)]
    low, high = sorted(each)[:2]
    assert result.photos == 30
    assert result.max_absolute_error == pytest.approx(max(errors))
    assert result.mean_absolute_error == pytest.approx(sum(errors) / len(errors))
    assert result.cosine_min == pytest.approx(low, abs=1e-6)
    assert result.cosine_p1 == pytest.approx(low + 0.29 * (high - low), abs=1e-6)  # (30 - 1) / 100 of the way
    assert result.cosine_mean == pytest.approx(sum(each) / len(each), abs=1e-6)
    assert result.top1_agreement == pytest.approx(naive_neighbor_agreement(reference, found, 1))
    assert result.top10_agreement == pytest.approx(naive_neighbor_agreement(reference, found, 10))
    assert result.top1_agreement < 1  # otherwise the comparison would be trivial


def test_equal_features_agree_fully() -> None:
    reference, _ = pair(0)
    assert agreement(reference, reference.copy()) == Agreement(
        photos=30,
        max_absolute_error=0,
        mean_absolute_error=0,
        cosine_min=pytest.approx(1, abs=1e-6),
        cosine_p1=pytest.approx(1, abs=1e-6),
        cosine_mean=pytest.approx(1, abs=1e-6),
        top1_agreement=1,
        top10_agreement=1,
    )


def test_known_values() -> None:
    assert cosines(np.array([[3, 4]], np.float32), np.array([[4, 3]], np.float32)) == pytest.approx(0.96)
    assert cosines(np.array([[3, 4]], np.float32), np.array([[-4, 3]], np.float32)) == pytest.approx(0)
    reference = at_angles(0, 10, 90, 105)
    assert cosines(reference, -reference) == pytest.approx(-1)
    assert neighbor_agreement(reference, at_angles(0, 90, 10, 105), 1) == 0  # the second and third are swapped
    assert neighbor_agreement(reference, at_angles(0, 10, 90, 25), 1) == 0.75  # the last is now nearest to the second
    assert neighbor_agreement(reference, at_angles(0, 10, 90, 25), 2) == 0.625


def test_agreement_does_not_depend_on_photo_order() -> None:
    reference, found = pair(1)
    order = np.random.default_rng(2).permutation(len(reference))
    one, two = agreement(reference, found), agreement(reference[order], found[order])
    assert one.top1_agreement == two.top1_agreement
    assert one.top10_agreement == two.top10_agreement
    assert one.cosine_p1 == pytest.approx(two.cosine_p1, abs=1e-7)
    assert one.mean_absolute_error == pytest.approx(two.mean_absolute_error)


def test_neighbor_agreement_is_invariant_to_scale_and_rotation() -> None:
    reference, found = pair(3)
    random = np.random.default_rng(4)
    rotation, _ = np.linalg.qr(random.standard_normal((8, 8)))
    moved = (found * random.uniform(0.1, 9, (30, 1))) @ rotation
    for k in (1, 3, 10):
        expected = neighbor_agreement(reference, found, k)
        assert neighbor_agreement(reference, moved.astype(np.float32), k) == pytest.approx(expected)
    np.testing.assert_allclose(cosines(reference, found * 7), cosines(reference, found), atol=1e-6)


def test_k_is_limited_to_the_number_of_other_photos() -> None:
    reference, found = pair(5, n=6)
    assert neighbor_agreement(reference, found, 10) == 1
    assert neighbor_agreement(reference, found, 5) == 1
    assert agreement(reference[:2], found[:2]).top1_agreement == 1


@pytest.mark.parametrize("apart", [0.0, 1e-6])
def test_copies_of_a_photo_count_as_ties(apart: float) -> None:
    """Rounding decides which of two copies is nearest: in the reference, in the features, or in both."""
    random = np.random.default_rng(0)
    photos = np.repeat(random.standard_normal((10, 8)).astype(np.float32), 3, axis=0)
    reference = photos + apart * random.standard_normal(photos.shape).astype(np.float32)
    found = photos + 1e-6 * random.standard_normal(photos.shape).astype(np.float32)
    assert naive_neighbor_agreement(reference, found, 1) < 1
    assert neighbor_agreement(reference, found, 1) == 1
    assert neighbor_agreement(reference, found, 2) == 1
    assert neighbor_agreement(reference, np.roll(found, 1, axis=0), 1) < 1  # copies of other photos do not count


def test_distinguishable_photos_are_not_ties() -> None:
    """The second photo is nearer to the first by one degree in the reference, and farther by one degree otherwise."""
    assert neighbor_agreement(at_angles(0, 10, -11), at_angles(0, 11, -10), 1) == pytest.approx(2 / 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_features_disagree(value: float) -> None:
    reference, found = pair(0, noise=0)
    found[3, 2] = value
    result = agreement(reference, found)
    assert (result.top1_agreement, result.top10_agreement, result.cosine_min) == (0, 0, -1)
    assert (result.max_absolute_error, result.mean_absolute_error) == (math.inf, math.inf)
    assert (cosines(reference, found) == -1).sum() == 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_features_disagree_with_equal_features(value: float) -> None:
    reference, _ = pair(0)
    reference[3, 2] = value
    result = agreement(reference, reference.copy())
    assert (result.top1_agreement, result.cosine_min, result.max_absolute_error) == (0, -1, math.inf)


def test_all_zero_features_agree() -> None:
    zeros = np.zeros((4, 8), np.float32)
    assert not unit(zeros).any()
    assert neighbor_agreement(zeros, zeros, 1) == 1
    assert agreement(zeros, zeros).max_absolute_error == 0
