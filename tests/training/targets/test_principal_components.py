from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import mvmr_zoo
from mvmr_zoo.checkpoint import Checkpoint, read_checkpoint
from mvmr_zoo.datasets import ImageFolder, image_folder
from mvmr_zoo.errors import ConfigError
from training.config import CacheConfig, TeacherConfig, ViewConfig
from training.data import SizeStage
from training.targets import fit_space, teacher_targets
from training.targets.principal_components import SpaceRows

from ...conftest import make_checkpoint
from ..small import NAME, OFF, QUIET, logged, train

RANDOM = np.random.default_rng(0)
FIRST = RANDOM.standard_normal((200, 6)) @ RANDOM.standard_normal((6, 6)) + 3
SECOND = 50 * RANDOM.standard_normal((200, 4)) @ RANDOM.standard_normal((4, 4)) - 7
VIEWS = ViewConfig(sizes=(SizeStage(start=0.0, px=32),), encoder_px=32)


def scaled(rows: np.ndarray) -> np.ndarray:
    centered = rows - rows.mean(axis=0)
    return centered / np.sqrt(np.square(centered).sum(axis=1).mean())


@pytest.mark.parametrize("whitening", [0.0, 0.5, 1.0])
def test_targets_are_the_principal_components_of_the_scaled_embeddings(whitening: float) -> None:
    from sklearn.decomposition import PCA

    found = fit_space([FIRST, SECOND], 5, whitening)(torch.from_numpy(np.concatenate([FIRST, SECOND], axis=1)).float())
    reference = PCA(5)
    expected = reference.fit_transform(np.concatenate([scaled(FIRST), scaled(SECOND)], axis=1))
    expected /= expected.std(axis=0) ** whitening
    signs = np.sign((found.numpy() * expected).sum(axis=0))
    np.testing.assert_allclose(found, expected * signs, atol=1e-4)


def test_without_whitening_all_components_keep_the_inner_products() -> None:
    found = fit_space([FIRST, SECOND], 10, 0)(torch.from_numpy(np.concatenate([FIRST, SECOND], axis=1)).float()).numpy()
    joined = np.concatenate([scaled(FIRST), scaled(SECOND)], axis=1)
    np.testing.assert_allclose(found @ found.T, joined @ joined.T, atol=1e-4)


def test_the_unit_of_a_teacher_does_not_matter() -> None:
    rows = torch.from_numpy(np.concatenate([FIRST, SECOND], axis=1)).float()
    other = rows * torch.tensor([1.0] * 6 + [1000.0] * 4)
    one = fit_space([FIRST, SECOND], 5, 0.5)(rows)
    two = fit_space([FIRST, SECOND * 1000], 5, 0.5)(other)
    torch.testing.assert_close(one @ one.T, two @ two.T, rtol=1e-3, atol=1e-3)


def test_more_components_than_there_are_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"teacher\.dim is 11; expected at most 10, the number of components of 200"):
        fit_space([FIRST, SECOND], 11, 0)
    with pytest.raises(ConfigError, match=r"expected at most 3"):
        fit_space([FIRST[:4]], 5, 0)


def test_rows_are_mapped_when_they_are_read() -> None:
    space = fit_space([FIRST, SECOND], 5, 0.5)
    rows = SpaceRows([FIRST.astype(np.float16), SECOND.astype(np.float32)], space)
    expected = space(torch.from_numpy(np.concatenate([FIRST[7], SECOND[7]])).float())
    assert len(rows) == 200
    np.testing.assert_allclose(rows[7], expected, atol=5e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spec": ("a", "b")}, r"teacher\.dim is None; expected a number with several teachers"),
        ({"spec": ("a", "b"), "dim": 8, "px": 32}, r"teacher\.px is 32; expected no value with several teachers"),
        ({"spec": ()}, r"teacher\.spec is \(\); expected at least one"),
        ({"dim": 0}, r"teacher\.dim is 0"),
        ({"dim": 8, "whitening": 1.5}, r"teacher\.whitening is 1\.5"),
        ({"whitening": 0.5}, r"teacher\.whitening is 0\.5; expected 0, or a value of teacher\.dim"),
    ],
)
def test_options_that_conflict_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TeacherConfig(**options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def images(photos: Path) -> ImageFolder:
    return image_folder(photos)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return make_checkpoint(tmp_path_factory.mktemp("second") / "second", "resnet8", seed=1)


def test_cached_and_live_teachers_give_the_same_targets(
    images: ImageFolder, checkpoint: Checkpoint, second: Checkpoint, tmp_path: Path
) -> None:
    specs = (str(checkpoint.folder), str(second.folder))
    common = {"spec": specs, "dim": 6, "cache": CacheConfig(dtype="float32")}
    every = np.arange(24)
    cached = teacher_targets(TeacherConfig(**common), VIEWS, images, every, tmp_path)  # type: ignore[arg-type]
    live = teacher_targets(TeacherConfig(**common, cached=False), VIEWS, images, every, tmp_path)  # type: ignore[arg-type]
    assert cached.dims == live.dims == {"teacher": 6}
    assert live.source is not None
    pixels = np.stack([live.source.preprocess.crop(images.image(i)) for i in range(24)]).transpose(0, 3, 1, 2)
    found = live.live["teacher"](torch.from_numpy(pixels.copy()))
    expected = torch.from_numpy(np.stack([cached.cached["teacher"][i] for i in range(24)]))
    cosines = torch.nn.functional.cosine_similarity(found @ found.T, expected @ expected.T)
    assert cosines.min() > 0.999  # the photos of the two are decoded at different sizes


def test_a_run_with_two_teachers_ends_in_an_alignment_that_takes_their_vectors(
    photos: Path, checkpoint: Checkpoint, second: Checkpoint, tmp_path: Path
) -> None:
    specs = f"--teacher.spec=['{checkpoint.folder}', '{second.folder}']"
    more = ("--teacher.dim=6", "--teacher.whitening=0.5", *OFF, "--loss.regression=1", "--student.projector=[6]")
    assert train("distill", photos, tmp_path, specs, *more, QUIET) == 0
    assert all(float(row["loss/regression"]) < 2 for row in logged(tmp_path, "loss/regression"))
    finished = read_checkpoint(tmp_path / NAME)
    alignment = finished.alignment
    assert alignment is not None
    files = sorted(photos.rglob("*.jpg"))
    joined = np.concatenate(
        [mvmr_zoo.load(each.folder, output="features").embed(files, normalize=False) for each in (checkpoint, second)],
        axis=1,
    )
    vectors = alignment.from_teacher(joined)
    assert vectors.shape == (24, 6)
    space = teacher_targets(
        TeacherConfig(spec=(str(checkpoint.folder), str(second.folder)), dim=6, whitening=0.5),
        VIEWS, image_folder(photos), np.arange(24), tmp_path / "again",
    ).space  # fmt: skip
    assert space is not None
    targets = space(torch.from_numpy(joined)).numpy()
    # both are the teachers' vectors in rotated axes, from samples that differ by the held-out photos
    cosines = np.corrcoef((vectors @ vectors.T).ravel(), (targets @ targets.T).ravel())
    assert cosines[0, 1] > 0.95
    assert finished.config.source.startswith("Distilled from tiny and second, by MV-MR.")


def test_the_projector_must_have_the_width_of_the_targets(
    photos: Path, checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = (f"--teacher.spec={checkpoint.folder}", "--teacher.dim=6", "--loss.regression=1", "--student.projector=[7]")
    assert train("distill", photos, tmp_path, *more, QUIET) == 2
    assert "The last width of student.projector is 7, but the targets have 6 dimensions" in " ".join(
        capsys.readouterr().err.split()
    )
