from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import mvmr_zoo
from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.datasets import ImageFolder, ImageSet, image_folder
from mvmr_zoo.embed.folder import EmbeddingsFacts, write_embeddings
from mvmr_zoo.errors import ConfigError, DataError
from mvmr_zoo.inference.engines import OnnxEngine
from training.config import CacheConfig, TeacherConfig, ViewConfig
from training.data import AugmentConfig, SizeStage
from training.targets.teacher import SAMPLE_IMAGES, Teacher, sampled_rows, teacher_mean, teacher_rows

from ..small import logged, train

VIEWS = ViewConfig(sizes=(SizeStage(start=0.0, px=32),), encoder_px=32)


@pytest.fixture
def images(photo_folder: Path) -> ImageFolder:
    return image_folder(photo_folder)


def rows(spec: str, images: ImageSet, cache: Path) -> NDArray[np.floating]:
    return teacher_rows(spec, TeacherConfig(spec=spec), VIEWS, images, cache)


def write(folder: Path, images: ImageFolder, names: list[str], checkpoint: Checkpoint) -> Path:
    """The tiny model's embeddings of some photos, last photo first."""
    vectors = mvmr_zoo.load(checkpoint.folder).embed(images.paths, normalize=False)
    facts = EmbeddingsFacts(model="tiny", weights_digest="", preprocess_digest="", dim=256, normalized=False)
    write_embeddings(folder, [(vectors[: len(names)][::-1], names[::-1])], facts)
    return folder


@pytest.mark.parametrize("absolute", [False, True])
def test_embeddings_made_before_are_matched_by_path(
    absolute: bool, images: ImageFolder, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    names = [f"/elsewhere/{images.describe(i)}" if absolute else images.describe(i) for i in range(12)]
    folder = write(tmp_path / "e", images, names, checkpoint)
    precomputed = rows(f"embeddings:{folder}", images, tmp_path / "cache")
    computed = rows(str(checkpoint.folder), images, tmp_path / "cache")
    np.testing.assert_allclose(precomputed, computed, rtol=2e-3, atol=2e-3)  # they are kept as float16


def test_two_embeddings_of_one_name_or_of_no_number_are_refused(
    images: ImageFolder, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    facts = EmbeddingsFacts(model="tiny", weights_digest="", preprocess_digest="", dim=2, normalized=False)
    names = [f"/data/{part}/{images.describe(i)}" for part in ("train", "val") for i in range(12)]
    write_embeddings(tmp_path / "both", [(np.zeros((24, 2), np.float32), names)], facts)
    with pytest.raises(DataError, match=r"both has two embeddings for a/00\.jpg"):
        rows(f"embeddings:{tmp_path / 'both'}", images, tmp_path)
    vectors = np.zeros((12, 2), np.float32)
    vectors[3, 1] = np.nan
    write_embeddings(tmp_path / "nan", [(vectors, names[:12])], facts)
    with pytest.raises(DataError, match=rf"nan: the embedding of {images.describe(3)} contains NaN or infinite values"):
        rows(f"embeddings:{tmp_path / 'nan'}", images, tmp_path)


def test_missing_embeddings_are_counted(images: ImageFolder, checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = write(tmp_path / "e", images, [images.describe(i) for i in range(9)], checkpoint)
    with pytest.raises(DataError, match=r"no embedding for 3 of 12 images of .*, for example b/07\.jpg"):
        rows(f"embeddings:{folder}", images, tmp_path)


def test_a_live_teacher_teaches_what_a_cached_one_does(
    photo_folder: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    more = (f"--teacher.spec={checkpoint.folder}", "--loss.regression=1", "--student.projector=[256]")
    assert train("distill", photo_folder, tmp_path / "cached", *more) == 0
    assert train("distill", photo_folder, tmp_path / "live", *more, "--teacher.cached=false") == 0
    for cached, live in zip(logged(tmp_path / "cached"), logged(tmp_path / "live"), strict=True):
        for name in ("loss/teacher", "loss/regression"):
            assert float(live[name]) == pytest.approx(float(cached[name]), abs=5e-3)


def test_the_sample_of_a_live_teacher_is_computed_once_from_the_plain_photos(
    images: ImageFolder, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    teacher, chosen = Teacher(str(checkpoint.folder)), np.array([1, 2, 5, 7])
    assert len(chosen) < SAMPLE_IMAGES
    expected = mvmr_zoo.load(checkpoint.folder).embed([images.paths[i] for i in chosen], normalize=False)
    found = sampled_rows(teacher, images, chosen, tmp_path, CacheConfig(dtype="float32"))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    (cached,) = tmp_path.glob("tiny-*")
    before = (cached / "rows.npy").stat().st_mtime_ns
    sampled_rows(teacher, images, chosen, tmp_path, CacheConfig(dtype="float32"))
    assert (cached / "rows.npy").stat().st_mtime_ns == before


def test_the_mean_counts_every_view_of_the_chosen_images() -> None:
    values = np.random.default_rng(0).standard_normal((12, 5)).astype(np.float32)
    found = teacher_mean(values, np.array([0, 3]), repeats=3)
    np.testing.assert_allclose(found, np.concatenate([values[:3], values[9:]]).mean(axis=0), atol=1e-6)


def test_both_engines_of_a_teacher_agree_and_normalize_by_its_own_values(checkpoint: Checkpoint) -> None:
    teacher = Teacher(str(checkpoint.folder))
    images = torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = teacher(images)
    torch.testing.assert_close(teacher(images.float() / 255), found)
    expected = teacher.model.embed([each.permute(1, 2, 0).numpy() for each in images], normalize=False)
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (teacher.preprocess.mean, teacher.preprocess.std))
    with torch.inference_mode():
        module = teacher.model.encoder((images.float() / 255 - mean) / std)
    torch.testing.assert_close(found, module, rtol=1e-3, atol=1e-3)
    assert found.shape == expected.shape == (3, 256)


def test_a_teacher_reads_another_size_where_it_is_given(
    images: ImageFolder, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    teacher = Teacher(str(checkpoint.folder), 48)
    assert teacher.preprocess.crop_px == 48
    assert teacher(torch.zeros(2, 3, 48, 48, dtype=torch.uint8)).shape == (2, 256)
    assert teacher.digest != Teacher(str(checkpoint.folder)).digest
    config = TeacherConfig(spec=str(checkpoint.folder), px=48)
    found = teacher_rows(config.specs[0], config, VIEWS, images, tmp_path)
    pixels = np.stack([np.asarray(teacher.preprocess.crop(images.image(i))) for i in range(12)])
    expected = teacher(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    np.testing.assert_allclose(found, expected, atol=0.05)  # photos are decoded at a fraction of their size
    assert np.abs(found - rows(str(checkpoint.folder), images, tmp_path)).max() > 0.1


def k_views(**changes: object) -> ViewConfig:
    values = {"sizes": (SizeStage(start=0.0, px=32),), "encoder_px": 32, "k": 2, "seed": 3}
    return ViewConfig(**{**values, **changes})


def test_a_cache_of_views_is_named_by_everything_a_view_depends_on(
    images: ImageFolder, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    same = TeacherConfig(spec=str(checkpoint.folder), view="same")
    first = teacher_rows(same.specs[0], same, k_views(), images, tmp_path)
    assert first.shape == (24, 256)
    kept = [k_views(augment=AugmentConfig(hue=0.0, gray=1.0)), k_views(mixup=1.0), k_views(encoder_px=48)]
    for views in kept:  # colors and mixup do not change what is cached
        np.testing.assert_array_equal(teacher_rows(same.specs[0], same, views, images, tmp_path), first)
    assert len(list(tmp_path.glob("tiny-*"))) == 1
    changed = [
        k_views(seed=4),
        k_views(k=3),
        k_views(augment=AugmentConfig(min_scale=0.5)),
        k_views(augment=AugmentConfig(flip=0.0)),
        k_views(sizes=(SizeStage(start=0.0, px=40),)),
    ]
    for number, views in enumerate(changed, start=2):
        teacher_rows(same.specs[0], same, views, images, tmp_path)
        assert len(list(tmp_path.glob("tiny-*"))) == number
    assert not np.array_equal(teacher_rows(same.specs[0], same, k_views(seed=4), images, tmp_path), first)


def test_a_cache_of_another_view_seed_is_refused_by_name(
    images: ImageFolder, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    same = TeacherConfig(spec=str(checkpoint.folder), view="same")
    teacher_rows(same.specs[0], same, k_views(), images, tmp_path)
    (manifest,) = tmp_path.glob("*/manifest.json")
    manifest.write_text(manifest.read_text().replace('"view_seed": 3', '"view_seed": 9'))
    with pytest.raises(DataError, match="its view_seed is 9; expected 3"):
        teacher_rows(same.specs[0], same, k_views(), images, tmp_path)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("embeddings:/nowhere", "not an embeddings folder"),
        ("timm:resnet10x", "Closest: resnet"),
        ("onnx:" + __file__, "not a valid ONNX file"),
        ("open_clip:ViT-B-32@/nowhere.pt", "/nowhere.pt is not a file"),
        ("resnet50-clip-kd", "its weights are not on this machine"),
        ("onnx:/nowhere.onnx", "/nowhere.onnx is not a file"),
    ],
)
def test_a_teacher_that_is_not_to_be_had_is_one_clear_line(
    spec: str, says: str, photo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("distill", photo_folder, tmp_path, f"--teacher.spec={spec}") == 2
    error = capsys.readouterr().err
    assert says in error
    assert len(error.splitlines()) == 1


def test_a_teacher_whose_library_is_missing_says_what_to_install(
    photo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    assert train("distill", photo_folder, tmp_path, "--teacher.spec=timm:resnet10t") == 2
    assert "pip install 'mvmr-zoo[teachers]'" in capsys.readouterr().err


@pytest.mark.parametrize("px", [None, 40])
def test_a_teacher_gives_the_output_that_its_folder_names(px: int | None, aligned_checkpoint: Checkpoint) -> None:
    teacher = Teacher(str(aligned_checkpoint.folder), px)
    alignment = aligned_checkpoint.alignment
    assert alignment is not None
    assert teacher.dim == len(alignment.matrix)
    side, own = teacher.preprocess.crop_px, teacher.preprocess
    images = torch.randint(256, (2, 3, side, side), dtype=torch.uint8)
    normalized = (images.float() / 255 - torch.tensor(own.mean).view(3, 1, 1)) / torch.tensor(own.std).view(3, 1, 1)
    features = teacher.model.encoder(normalized)
    torch.testing.assert_close(teacher(images), features @ torch.from_numpy(alignment.matrix).T, rtol=1e-3, atol=1e-4)


def test_an_export_that_prepares_its_images_itself_is_refused(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxEngine, "reads", "pixels")
    with pytest.raises(
        ConfigError, match="is an export with built-in preprocessing; expected one that takes normalized images"
    ):
        Teacher(str(checkpoint.folder))
