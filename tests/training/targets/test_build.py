from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.datasets import ImageFolder, image_folder
from training.config import RepresentationConfig, RepresentationsConfig, TeacherConfig, ViewConfig
from training.data import Draw, SizeStage, ViewDataset
from training.targets import representation_targets, teacher_targets

VIEWS = ViewConfig(sizes=(SizeStage(start=0.0, px=32), SizeStage(start=0.5, px=40)), encoder_px=32)


@pytest.fixture(scope="module")
def images(photos: Path) -> ImageFolder:
    return image_folder(photos)


def representations(**changes: object) -> RepresentationsConfig:
    kinds = (("pixels", 1.0), ("hog", 0.5), ("scattering", 0.0), ("augmented_pixels", 1.0))
    terms = tuple(RepresentationConfig(kind=kind, weight=weight) for kind, weight in kinds)
    return RepresentationsConfig(**{"terms": terms, **changes})


def test_live_and_cached_representations_are_those_of_the_plain_view(images: ImageFolder, tmp_path: Path) -> None:
    """At the largest size of the run, whatever the size of the step; without weight or of the second view, none."""
    live = representation_targets(representations(), VIEWS, images, tmp_path)
    assert set(live.live) == {"pixels", "hog"}
    assert live.source is not None
    assert live.source.preprocess.crop_px == 40
    assert not list(tmp_path.iterdir())
    cached = representation_targets(representations(cached=True), VIEWS, images, tmp_path)
    assert set(cached.cached) == {"pixels", "hog"}
    assert cached.source is None
    rows = np.arange(24)
    of_live = ViewDataset(data=images, rows=rows, config=VIEWS, source=live.source)
    of_cache = ViewDataset(data=images, rows=rows, config=VIEWS, targets=cached.cached)
    for photo in (0, 7, 23):
        draw = Draw(photo, 32, 1, 0)
        source, found = of_live[draw].source[None], of_cache[draw].targets
        for name, compute in live.live.items():
            expected = compute(source)[0]
            assert (found[name].float() - expected).abs().mean() < 0.1 * expected.abs().mean(), name


def test_another_size_is_another_cache(images: ImageFolder, tmp_path: Path) -> None:
    for px in (None, 40, 48):
        representation_targets(representations(cached=True, px=px), VIEWS, images, tmp_path)
    assert sorted(path.name.rpartition("-")[0] for path in tmp_path.iterdir()) == [
        "hog-40px", "hog-48px", "pixels-40px", "pixels-48px",
    ]  # fmt: skip


def test_without_representations_nothing_is_read(images: ImageFolder, tmp_path: Path) -> None:
    found = representation_targets(representations(terms=()), VIEWS, images, tmp_path)
    assert (found.live, found.cached, found.source) == ({}, {}, None)


@pytest.mark.parametrize("cached", [True, False])
def test_a_teachers_mean_is_that_of_the_images_that_are_trained_on(
    cached: bool, images: ImageFolder, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    config, rows = TeacherConfig(spec=str(checkpoint.folder), cached=cached), np.array([0, 3, 9])
    found = teacher_targets(config, VIEWS, images, rows, tmp_path)
    assert found.dims == {"teacher": 256}
    assert found.space is not None
    assert found.space.projection is None
    all_rows = teacher_targets(TeacherConfig(spec=str(checkpoint.folder)), VIEWS, images, rows, tmp_path).cached[
        "teacher"
    ]
    torch.testing.assert_close(found.space.mean, torch.from_numpy(all_rows[rows].mean(axis=0)), rtol=1e-3, atol=1e-3)
    assert (set(found.cached), set(found.live)) == (({"teacher"}, set()) if cached else (set(), {"teacher"}))
    assert (found.source is None) == cached


def test_a_same_view_teacher_has_its_own_source(images: ImageFolder, checkpoint: Checkpoint, tmp_path: Path) -> None:
    config = TeacherConfig(spec=str(checkpoint.folder), view="same", cached=False, px=48)
    found = teacher_targets(config, VIEWS, images, np.arange(24), tmp_path)
    assert found.source is not None
    assert found.source.same_view
    assert found.source.preprocess.crop_px == 48
