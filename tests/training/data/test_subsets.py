from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvmr_zoo.datasets import image_folder
from mvmr_zoo.errors import DataError
from training.data import label_digest, stratified_split, subset_file
from training.data.subsets import name_digest, stratified_subset

from ..conftest import write_photos


@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=6), share=st.floats(0.01, 1), seed=st.integers(0, 99))
def test_each_class_gives_its_share_and_one_at_least(sizes: list[int], share: float, seed: int) -> None:
    labels = np.concatenate([np.full(size, label) for label, size in enumerate(sizes)] + [np.full(5, -1)])
    chosen = stratified_subset(labels, share, seed)
    assert len(np.unique(chosen)) == len(chosen)
    assert (np.diff(chosen) > 0).all()
    for label, size in enumerate(sizes):
        assert (labels[chosen] == label).sum() == max(1, round(share * size))
    np.testing.assert_array_equal(stratified_subset(labels, share, seed), chosen)


def test_a_file_is_written_once_and_reused(photo_folder: Path, tmp_path: Path) -> None:
    images, path = image_folder(photo_folder), tmp_path / "deep" / "half.csv"
    chosen = subset_file(path, images, 0.5, 0, np.arange(12))
    text = path.read_text()
    assert text.splitlines()[:5] == [
        f"# data,{images.name}",
        f"# names,{name_digest(images)}",
        f"# labels,{label_digest(images)}",
        "# share,0.5",
        "# seed,0",
    ]
    assert f"{chosen[0]},{images.describe(int(chosen[0]))}" in text
    np.testing.assert_array_equal(subset_file(path, images, 0.5, 0, np.arange(12)), chosen)
    assert path.read_text() == text
    assert set(images.labels[chosen]) == {0, 1}


def test_a_file_of_ones_own_choice_counts(photo_folder: Path, tmp_path: Path) -> None:
    images, path = image_folder(photo_folder), tmp_path / "half.csv"
    subset_file(path, images, 0.5, 0, np.arange(12))
    head = path.read_text().splitlines()[:6]
    path.write_text("\n".join([*head, f"3,{images.describe(3)}", f"0,{images.describe(0)}"]))
    np.testing.assert_array_equal(subset_file(path, images, 0.5, 0, np.arange(12)), [3, 0])


def test_a_file_of_other_images_share_or_seed_is_refused(photo_folder: Path, tmp_path: Path) -> None:
    images, path = image_folder(photo_folder), tmp_path / "half.csv"
    subset_file(path, images, 0.5, 0, np.arange(12))
    other = image_folder(write_photos(tmp_path / "other", 6))
    for arguments, says in (
        ((other, 0.5, 0), "names"),
        ((images, 0.1, 0), "share 0.5"),
        ((images, 0.5, 1), "seed"),
    ):
        with pytest.raises(DataError, match=rf"half\.csv was made for {says}"):
            subset_file(path, *arguments, np.arange(6))


@pytest.mark.parametrize("row", ["99,a/00.jpg", "0,a/other.jpg", "zero,a/00.jpg", "0"])
def test_a_damaged_file_is_refused(row: str, photo_folder: Path, tmp_path: Path) -> None:
    images, path = image_folder(photo_folder), tmp_path / "half.csv"
    subset_file(path, images, 0.5, 0, np.arange(12))
    path.write_text(path.read_text() + row + "\n")
    with pytest.raises(DataError, match=r"half\.csv is damaged"):
        subset_file(path, images, 0.5, 0, np.arange(12))


def test_only_what_is_offered_is_chosen(photo_folder: Path, tmp_path: Path) -> None:
    chosen = subset_file(tmp_path / "all.csv", image_folder(photo_folder), 1.0, 0, np.array([1, 2, 7]))
    assert chosen.tolist() == [1, 2, 7]


LABELS = np.repeat(np.arange(4), [40, 20, 60, 7])


def test_held_out_photos_are_a_fixed_share_of_each_class() -> None:
    split = stratified_split(LABELS, 0.1, seed=3)
    assert np.bincount(LABELS[split.held_out], minlength=4).tolist() == [4, 2, 6, 1]
    assert sorted([*split.train, *split.held_out]) == list(range(127))
    np.testing.assert_array_equal(split.held_out, stratified_split(LABELS, 0.1, seed=3).held_out)
    assert not np.array_equal(split.held_out, stratified_split(LABELS, 0.1, seed=4).held_out)


@pytest.mark.parametrize("limit", [1, 20, 63, 114])
def test_a_limit_keeps_the_share_of_every_class(limit: int) -> None:
    whole, some = (stratified_split(LABELS, 0.1, seed=3, limit=each) for each in (None, limit))
    assert len(some.train) == limit
    assert set(some.train) <= set(whole.train)
    np.testing.assert_array_equal(some.held_out, whole.held_out)
    shares = np.bincount(LABELS[whole.train]) * limit / len(whole.train)
    assert np.abs(np.bincount(LABELS[some.train], minlength=4) - shares).max() <= 1


def test_images_without_a_label_are_all_trained_on() -> None:
    labels = np.concatenate([np.full(30, -1), np.zeros(20, int)])
    split = stratified_split(labels, 0.5, seed=0)
    assert (labels[split.held_out] == 0).all()
    assert len(split.held_out) == 10
    assert set(range(30)) <= set(split.train)
    assert len(stratified_split(np.full(5, -1), 0.2, seed=0).held_out) == 0
