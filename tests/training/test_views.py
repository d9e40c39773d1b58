from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mvmr_zoo.datasets import image_folder
from mvmr_zoo.errors import DataError
from mvmr_zoo.images import read_image
from training.config import SizeStage, ViewConfig
from training.photos import Views, fingerprint, stratified_split
from training.plan import Draw
from training.views import augmentation, plain_view, seeded_view, student_preprocess


@pytest.fixture
def views(photo_folder: Path) -> Views:
    photos = image_folder(photo_folder)
    teacher = np.arange(24, dtype=np.float32).reshape(12, 2)
    return Views(photos.paths, teacher, ViewConfig(sizes=(SizeStage(start=0, px=32),)), with_plain=True)


def test_an_example_is_fixed_by_its_draw(views: Views) -> None:
    state = torch.get_rng_state()
    one, again = views[Draw(3, 32, 99)], views[Draw(3, 32, 99)]
    other = views[Draw(3, 32, 98)]
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(one.augmented, again.augmented)
    assert not torch.equal(one.augmented, other.augmented)
    assert torch.equal(one.plain, other.plain)
    assert one.teacher.tolist() == [6.0, 7.0]
    assert one.augmented.shape == one.plain.shape == (3, 32, 32)
    assert one.augmented.dtype == torch.float32


def test_the_plain_view_is_what_the_finished_encoder_sees(photo_folder: Path) -> None:
    image = read_image(photo_folder / "a" / "00.jpg")
    np.testing.assert_array_equal(plain_view(image, 48).numpy(), student_preprocess(48)(image))


def test_without_augmentation_a_view_is_the_whole_photo(photo_folder: Path) -> None:
    image = read_image(photo_folder / "a" / "00.jpg").crop((0, 0, 40, 40))
    off = {name: 0.0 for name in ("flip", "jitter", "grey", "blur")}
    same = seeded_view(augmentation(ViewConfig(min_scale=1.0, **off), 40), image, 5)
    np.testing.assert_allclose(same.numpy(), student_preprocess(40).normalize(np.asarray(image)), atol=1e-5)


def test_held_out_photos_are_a_fixed_share_of_each_class() -> None:
    labels = np.repeat(np.arange(4), [40, 20, 60, 7])
    split = stratified_split(labels, 0.1, seed=3)
    assert np.bincount(labels[split.held_out], minlength=4).tolist() == [4, 2, 6, 1]
    assert sorted([*split.train, *split.held_out]) == list(range(127))
    np.testing.assert_array_equal(split.held_out, stratified_split(labels, 0.1, seed=3).held_out)


def test_fingerprint_follows_content_and_names(photo_folder: Path) -> None:
    before = fingerprint(image_folder(photo_folder))
    assert fingerprint(image_folder(photo_folder)) == before
    path = photo_folder / "a" / "00.jpg"
    path.write_bytes(path.read_bytes() + b"\0")
    changed = fingerprint(image_folder(photo_folder))
    assert changed != before
    path.rename(path.with_name("99.jpg"))
    assert fingerprint(image_folder(photo_folder)) not in (before, changed)


def test_a_folder_of_classes(photo_folder: Path, tmp_path: Path) -> None:
    photos = image_folder(photo_folder)
    assert photos.class_names == ["a", "b"]
    assert photos.labels.tolist() == [0] * 6 + [1] * 6
    assert [path.parent.name for path in photos.paths] == ["a"] * 6 + ["b"] * 6
    with pytest.raises(DataError, match="is not a folder"):
        image_folder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no photo"):
        image_folder(tmp_path / "empty")
