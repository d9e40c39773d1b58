"""One photo's views and targets: what the student sees, what the teacher sees, and which rows belong to them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.datasets import ImageFolder, image_folder
from mvmr_zoo.errors import DataError
from mvmr_zoo.images.preprocess import Preprocess
from training.config import TeacherConfig, ViewConfig
from training.data import (
    POLICIES,
    AugmentConfig,
    Draw,
    Plan,
    SizeStage,
    Source,
    ViewDataset,
    augment_image,
    mix_share,
    plain_view,
    to_tensor,
)
from training.data.views import color_batch
from training.targets.teacher import Teacher, teacher_rows

PX = 32
PLAIN = AugmentConfig(policy="paper", jitter=0.0, gray=0.0, blur=0.0)
"""Crop and flip alone."""


@pytest.fixture(scope="module")
def images(photos: Path) -> ImageFolder:
    return image_folder(photos)


def views(**changes: object) -> ViewConfig:
    values = {"sizes": (SizeStage(start=0.0, px=PX),), "encoder_px": PX}
    return ViewConfig(**{**values, **changes})


def dataset(images: ImageFolder, config: ViewConfig, **more: object) -> ViewDataset:
    return ViewDataset(data=images, rows=np.arange(len(images)), config=config, **more)


def draws(count: int = 6, px: int = PX) -> list[Draw]:
    return [Draw(photo=i, px=px, seed=1000 + 7 * i, epoch=0) for i in range(count)]


def test_a_view_is_that_of_its_seed(images: ImageFolder) -> None:
    made = dataset(images, views(), with_plain=True)
    for draw in draws():
        example = made[draw]
        image = images.image(draw.photo, min_px=made._needed_px(PX))
        torch.testing.assert_close(example.augmented, augment_image(image, PX, POLICIES["paper"], draw.seed))
        assert torch.equal(example.plain, plain_view(views(), image, PX))
        assert example.label == images.labels[draw.photo]
        assert example.mix == 1
        assert not any(empty.numel() for empty in (example.other, example.color, example.source))


def test_draws_count_among_the_rows_that_are_trained_on(images: ImageFolder) -> None:
    rows = np.array([3, 9, 20])
    targets = {"pixels": np.arange(24, dtype=np.float16)[:, None]}
    some = ViewDataset(data=images, rows=rows, config=views(), targets=targets)
    assert [some[Draw(i, PX, 5, 0)].targets["pixels"].item() for i in range(3)] == rows.tolist()


def test_the_second_view_has_its_own_draws_and_its_own_policy(images: ImageFolder) -> None:
    gray = AugmentConfig(policy="paper", gray=1.0, jitter=0.0)
    made = dataset(images, views(second=gray), with_other=True)
    for draw in draws():
        example = made[draw]
        image = images.image(draw.photo, min_px=made._needed_px(PX))
        torch.testing.assert_close(example.other, augment_image(image, PX, gray.parameters, draw.seed + 1))
        assert torch.allclose(example.other[0], example.other[2], atol=1e-5)
    same = dataset(images, views(), with_other=True)
    example = same[draws()[0]]
    assert (example.other - example.augmented).abs().mean() > 0.01


def test_the_device_and_the_workers_make_the_same_views(images: ImageFolder) -> None:
    worker = dataset(images, views(second=AugmentConfig(policy="cifar20")), with_other=True)
    device_views = views(augment=AugmentConfig(where="device"), second=AugmentConfig(policy="cifar20", where="device"))
    device = dataset(images, device_views, with_other=True)
    for draw in draws():
        expected, found = worker[draw], device[draw]
        assert found.augmented.dtype == found.other.dtype == torch.uint8
        for pixels, color, made in (
            (found.augmented, found.color, expected.augmented),
            (found.other, found.other_color, expected.other),
        ):
            torch.testing.assert_close(color_batch(pixels[None], color[None])[0], made, rtol=0, atol=2e-5)


@pytest.mark.parametrize("policy", ["paper", "cifar", "cifar20"])
def test_a_same_view_teacher_sees_the_crop_and_flip_without_color(policy: str, images: ImageFolder) -> None:
    """Its image, scaled to the student's size, is the student's view before its color."""
    own = Preprocess(resize_px=2 * PX, crop_px=2 * PX)
    augment = AugmentConfig(policy=policy)
    made = dataset(images, views(augment=augment), source=Source(preprocess=own, same_view=True))
    uncolored = dataset(images, views(augment=dataclasses.replace(augment, jitter=0.0, gray=0.0, blur=0.0)))
    for draw in draws(10):
        example = made[draw]
        assert example.source.shape == (3, 2 * PX, 2 * PX)
        assert example.source.dtype == torch.uint8
        small = torch.nn.functional.avg_pool2d(example.source.float() / 255, 2)
        student = uncolored[draw].augmented
        assert (small - student).abs().mean() < 0.04
        assert (small.flip(2) - student).abs().mean() > (small - student).abs().mean()


def test_the_sources_color_does_not_follow_the_color_options(images: ImageFolder) -> None:
    source = Source(preprocess=Preprocess(resize_px=40, crop_px=40), same_view=True)
    colored, plain = (dataset(images, views(augment=each), source=source) for each in (AugmentConfig(), PLAIN))
    for draw in draws():
        assert torch.equal(colored[draw].source, plain[draw].source)


def test_a_plain_source_shows_the_whole_photo(images: ImageFolder) -> None:
    source = Source(preprocess=Preprocess(resize_px=40, crop_px=36))
    made = dataset(images, views(), source=source)
    for draw in draws(3):
        image = images.image(draw.photo, min_px=made._needed_px(PX))
        assert torch.equal(made[draw].source, to_tensor(source.preprocess.crop(image)))


def test_cached_views_depend_on_photo_epoch_and_view_seed_alone(images: ImageFolder) -> None:
    """Neither the run's seed (which decides a draw's) nor the size of the step changes a cached crop."""
    cached = views(k=3, seed=5, augment=PLAIN, sizes=(SizeStage(start=0, px=32), SizeStage(start=0.5, px=40)))
    made = dataset(images, cached)
    crops = [made[Draw(4, PX, seed, epoch)].augmented for seed, epoch in ((1, 0), (99, 0), (99, 3), (1, 6))]
    assert all(torch.equal(crop, crops[0]) for crop in crops)
    others = [made[Draw(4, PX, 1, epoch)].augmented for epoch in (1, 2)]
    others += [made[Draw(5, PX, 1, 0)].augmented]
    others += [dataset(images, dataclasses.replace(cached, seed=6))[Draw(4, PX, 1, 0)].augmented]
    assert all((other - crops[0]).abs().mean() > 0.01 for other in others)
    large = made[Draw(4, 40, 1, 0)].augmented
    again = torch.nn.functional.interpolate(large[None], (PX, PX), mode="bilinear", antialias=True)[0]
    assert (again - crops[0]).abs().mean() < 0.03


def test_colors_of_cached_views_are_drawn_anew(images: ImageFolder) -> None:
    made = dataset(images, views(k=2))
    assert (made[Draw(4, PX, 1, 0)].augmented - made[Draw(4, PX, 2, 0)].augmented).abs().mean() > 0.01


@pytest.mark.parametrize("policy", ["paper", "cifar"])
def test_the_rows_of_the_cache_are_the_crops_that_the_dataset_yields(
    policy: str, images: ImageFolder, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """For epochs 0 to K - 1, of every photo, in whatever order a plan visits them."""
    config = views(k=2, seed=5, augment=AugmentConfig(policy=policy))
    teacher_config = TeacherConfig(spec=str(checkpoint.folder), view="same")
    rows = teacher_rows(teacher_config.specs[0], teacher_config, config, images, tmp_path)
    assert rows.shape == (48, 256)
    teacher = Teacher(str(checkpoint.folder))
    live = dataset(
        images, config, targets={"teacher": rows}, source=Source(preprocess=teacher.preprocess, same_view=True)
    )
    plan = Plan(photos=24, batch_size=8, epochs=4, sizes=config.sizes, seed=11)
    seen = []
    for number in range(plan.total_batches):
        examples = [live[draw] for draw in plan.batch(number)]
        expected = teacher(torch.stack([example.source for example in examples]))
        found = torch.stack([example.targets["teacher"] for example in examples])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        seen.extend((draw.photo, draw.epoch % 2) for draw in plan.batch(number))
    assert sorted(set(seen)) == [(photo, epoch) for photo in range(24) for epoch in range(2)]


def test_shares_of_a_mixup_are_those_of_a_beta_distribution(images: ImageFolder) -> None:
    made = dataset(images, views(mixup=0.4))
    shares = np.array([mix_share(made.config, seed) for seed in range(400)])
    assert ((shares >= 0) & (shares <= 1)).all()
    assert abs(shares.mean() - 0.5) < 0.06
    assert abs(shares.std() - np.sqrt(0.25 / (2 * 0.4 + 1))) < 0.04
    draw = draws()[1]
    assert made[draw].mix == mix_share(made.config, draw.seed)


def test_mixing_changes_no_draw(images: ImageFolder) -> None:
    plain, mixed = dataset(images, views()), dataset(images, views(mixup=1.0))
    for draw in draws(3):
        assert torch.equal(plain[draw].augmented, mixed[draw].augmented)


def test_a_photo_that_cannot_be_read_is_named(images: ImageFolder, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "bad.jpg").write_bytes(b"no jpeg")
    with pytest.raises(DataError, match=r"bad\.jpg"):
        _ = dataset(image_folder(tmp_path), views())[Draw(0, PX, 1, 0)]


def test_a_crop_is_made_from_enough_pixels(images: ImageFolder) -> None:
    """A photo may be decoded at a fraction of its size, but never below what its smallest crop needs."""
    config = views(augment=AugmentConfig(min_scale=0.25))
    assert dataset(images, config)._needed_px(PX) == 64
    source = Source(preprocess=Preprocess(resize_px=100, crop_px=90), same_view=True)
    assert dataset(images, config, source=source)._needed_px(PX) == 180


def test_the_second_views_crop_is_made_from_enough_pixels_too(images: ImageFolder) -> None:
    config = views(augment=AugmentConfig(min_scale=1.0), second=AugmentConfig(min_scale=0.04))
    assert dataset(images, config)._needed_px(PX) < 5 * PX
    assert dataset(images, config, with_other=True)._needed_px(PX) == 5 * PX
