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
    """Features of two dimensions, one row an angle."""
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def naive_cosine(one: np.ndarray, two: np.ndarray) -> float:
    product = sum(a * b for a, b in zip(one.tolist(), two.tolist(), strict=True))
    return product / math.sqrt(sum(a * a for a in one.tolist()) * sum(b * b for b in two.tolist()))


def naive_neighbors(features: np.ndarray, photo: int, k: int) -> set[int]:
    others = [other for other in range(len(features)) if other != photo]
    return set(sorted(others, key=lambda other: -naive_cosine(features[photo], features[other]))[:k])


def naive_neighbor_agreement(reference: np.ndarray, found: np.ndarray, k: int) -> float:
    """How many of the nearest are the same ones, where no two are equally near."""
    shared = sum(
        len(naive_neighbors(reference, photo, k) & naive_neighbors(found, photo, k)) for photo in range(len(reference))
    )
    return shared / (k * len(reference))


@pytest.mark.parametrize("seed", range(4))
def test_equals_its_definition(seed: int) -> None:
    reference, found = pair(seed)
    told = agreement(reference, found)
    each = [naive_cosine(one, two) for one, two in zip(reference, found, strict=True)]
    errors = [abs(float(a) - float(b)) for a, b in zip(reference.flat, found.flat, strict=True)]
    low, high = sorted(each)[:2]
    assert told.photos == 30
    assert told.max_absolute_error == pytest.approx(max(errors))
    assert told.mean_absolute_error == pytest.approx(sum(errors) / len(errors))
    assert told.cosine_min == pytest.approx(low, abs=1e-6)
    assert told.cosine_p1 == pytest.approx(low + 0.29 * (high - low), abs=1e-6)  # (30 - 1) / 100 of the way
    assert told.cosine_mean == pytest.approx(sum(each) / len(each), abs=1e-6)
    assert told.top1_agreement == pytest.approx(naive_neighbor_agreement(reference, found, 1))
    assert told.top10_agreement == pytest.approx(naive_neighbor_agreement(reference, found, 10))
    assert told.top1_agreement < 1  # or it could not differ from anything


def test_equal_features_agree_in_everything() -> None:
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
    assert neighbor_agreement(reference, at_angles(0, 90, 10, 105), 1) == 0  # the second and third changed places
    assert neighbor_agreement(reference, at_angles(0, 10, 90, 25), 1) == 0.75  # the last is now by the second
    assert neighbor_agreement(reference, at_angles(0, 10, 90, 25), 2) == 0.625


def test_the_order_of_photos_does_not_matter() -> None:
    reference, found = pair(1)
    order = np.random.default_rng(2).permutation(len(reference))
    one, two = agreement(reference, found), agreement(reference[order], found[order])
    assert one.top1_agreement == two.top1_agreement
    assert one.top10_agreement == two.top10_agreement
    assert one.cosine_p1 == pytest.approx(two.cosine_p1, abs=1e-7)
    assert one.mean_absolute_error == pytest.approx(two.mean_absolute_error)


def test_lengths_and_rotations_of_vectors_do_not_matter_to_neighbors() -> None:
    reference, found = pair(3)
    random = np.random.default_rng(4)
    rotation, _ = np.linalg.qr(random.standard_normal((8, 8)))
    moved = (found * random.uniform(0.1, 9, (30, 1))) @ rotation
    for k in (1, 3, 10):
        expected = neighbor_agreement(reference, found, k)
        assert neighbor_agreement(reference, moved.astype(np.float32), k) == pytest.approx(expected)
    np.testing.assert_allclose(cosines(reference, found * 7), cosines(reference, found), atol=1e-6)


def test_more_neighbors_than_photos_are_all_of_them() -> None:
    reference, found = pair(5, n=6)
    assert neighbor_agreement(reference, found, 10) == 1
    assert neighbor_agreement(reference, found, 5) == 1
    assert agreement(reference[:2], found[:2]).top1_agreement == 1


@pytest.mark.parametrize("apart", [0.0, 1e-6])
def test_copies_of_a_photo_may_stand_for_one_another(apart: float) -> None:
    """Which of two copies is nearest is decided by the last digit: of the one, or of the other, or of both."""
    random = np.random.default_rng(0)
    photos = np.repeat(random.standard_normal((10, 8)).astype(np.float32), 3, axis=0)
    reference = photos + apart * random.standard_normal(photos.shape).astype(np.float32)
    found = photos + 1e-6 * random.standard_normal(photos.shape).astype(np.float32)
    assert naive_neighbor_agreement(reference, found, 1) < 1
    assert neighbor_agreement(reference, found, 1) == 1
    assert neighbor_agreement(reference, found, 2) == 1
    assert neighbor_agreement(reference, np.roll(found, 1, axis=0), 1) < 1  # others' copies may not


def test_what_is_told_apart_is_no_tie() -> None:
    """The second photo is nearer to the first by a degree, and must not become farther by one."""
    assert neighbor_agreement(at_angles(0, 10, -11), at_angles(0, 11, -10), 1) == pytest.approx(2 / 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_agrees_with_nothing(value: float) -> None:
    reference, found = pair(0, noise=0)
    found[3, 2] = value
    told = agreement(reference, found)
    assert (told.top1_agreement, told.top10_agreement, told.cosine_min) == (0, 0, -1)
    assert (told.max_absolute_error, told.mean_absolute_error) == (math.inf, math.inf)
    assert (cosines(reference, found) == -1).sum() == 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_two_that_are_not_finite_do_not_agree_with_each_other(value: float) -> None:
    reference, _ = pair(0)
    reference[3, 2] = value
    told = agreement(reference, reference.copy())
    assert (told.top1_agreement, told.cosine_min, told.max_absolute_error) == (0, -1, math.inf)


def test_features_that_are_all_zero_agree() -> None:
    zeros = np.zeros((4, 8), np.float32)
    assert not unit(zeros).any()
    assert neighbor_agreement(zeros, zeros, 1) == 1
    assert agreement(zeros, zeros).max_absolute_error == 0
