from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

import mvmr_zoo
from mvmr_zoo.checkpoint import read_checkpoint

from ..conftest import write_photos
from .small import EVERY_STEP, NAME, OFF, PIXELS, QUIET, logged, train, weights


@pytest.fixture(scope="module")
def cached(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of all the paper's terms, its representations computed before."""
    output = tmp_path_factory.mktemp("cached")
    exact = "--representations.cache.dtype=float32"
    assert train("pretrain", photos, output, "--representations.cached=true", exact) == 0
    return output


def test_what_comes_out_is_a_model(cached: Path, photos: Path) -> None:
    model = mvmr_zoo.load(cached / NAME)
    assert model.embed(sorted(photos.rglob("*.jpg"))).shape == (24, 64)
    config = read_checkpoint(cached / NAME).config
    assert "Trained without labels by MV-MR" in config.source
    assert "scattering (weight 1)" in config.source
    assert 0 <= config.metrics["held_out/knn-v1"].value <= 1


def test_every_representation_is_a_term(cached: Path) -> None:
    rows = logged(cached)
    assert len(rows) == 4
    names = ("pixels", "scattering", "hog", "local_deviation", "augmented_pixels", "views")
    for row in rows:
        for name in names:
            assert 0 < float(row[f"dcor/{name}"]) < 1
            assert float(row[f"loss/{name}"]) == pytest.approx(1 - float(row[f"dcor/{name}"]), abs=1e-5)
            assert float(row[f"dcor/{name}/independent"]) > 0
        total = sum(float(row[f"loss/{name}"]) for name in (*names, "invariance", "variance"))
        assert total == pytest.approx(float(row["loss/total"]), abs=1e-4)


def test_live_representations_train_the_same(cached: Path, photos: Path, tmp_path: Path) -> None:
    assert train("pretrain", photos, tmp_path) == 0
    for live, expected in zip(logged(tmp_path), logged(cached), strict=True):
        for name in ("pixels", "scattering", "hog", "local_deviation", "augmented_pixels"):
            assert float(live[f"dcor/{name}"]) == pytest.approx(float(expected[f"dcor/{name}"]), abs=5e-3)


def test_the_released_sign_turns_the_terms_round(photos: Path, tmp_path: Path) -> None:
    assert train("pretrain", photos, tmp_path, PIXELS, "--representations.sign=released", "--optim.epochs=0.5") == 0
    (row,) = logged(tmp_path)
    assert float(row["loss/pixels"]) == pytest.approx(float(row["dcor/pixels"]), abs=1e-5)
    assert float(row["loss/views"]) == pytest.approx(1 - float(row["dcor/views"]), abs=1e-5)


@pytest.mark.parametrize(
    "more",
    [
        ["--trainer.precision=bf16"],
        ["--optim.accumulate=2", "--optim.clip_norm=0.5", "--optim.name=sgd"],
        ["--loss.estimator=unbiased", "--optim.name=adam", "--optim.decay_vectors=true"],
        ["--views.augment.where=device", "--data.workers=1"],
        ["--views.sizes=[{start: 0, px: 32}, {start: 0.5, px: 40}]", "--optim.schedule=wsd", "--optim.ema=0.9"],
        ["--views.augment.policy=cifar20", "--views.second.policy=cifar", "--views.second.where=device"],
        ["--student.architecture=resnet8x4", "--student.projector=[16]", "--trainer.tensorboard=true", EVERY_STEP],
    ],
)
def test_every_option_trains(more: list[str], photos: Path, tmp_path: Path) -> None:
    terms = (
        "--representations.terms=[{kind: hog}, {kind: scattering, options: {max_order: 1}}, {kind: augmented_pixels}]"
    )
    assert train("pretrain", photos, tmp_path, terms, QUIET, *more) == 0
    assert all(np.isfinite(tensor).all() for tensor in weights(tmp_path).values())
    totals = [float(row["loss/total"]) for row in logged(tmp_path)]
    assert len(totals) == (2 if "--optim.accumulate=2" in more else 4)
    assert len(set(totals)) == len(totals)


def test_images_of_mixed_sizes_modes_and_no_class(tmp_path: Path) -> None:
    folder = tmp_path / "flat"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number, mode in enumerate(("RGB", "L", "RGBA", "P", "LA", "RGB", "1", "RGB")):
        pixels = random.integers(256, size=(20 + 9 * number, 60 - 5 * number, 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(folder / f"{number}.png")
    assert train("pretrain", folder, tmp_path / "run", PIXELS, "--data.held_out=0") == 0


class Flat:
    """A representation that gives one number per image."""

    def __call__(self, images: Tensor) -> Tensor:
        return images.mean(dim=(1, 2, 3))


class Broken:
    """One that fails."""

    def __call__(self, images: Tensor) -> Tensor:
        raise ValueError("no idea")


def test_a_photo_that_a_worker_cannot_read_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = write_photos(tmp_path / "photos", 12)
    (photos / "a" / "04.jpg").write_bytes(b"no jpeg")
    assert train("pretrain", photos, tmp_path / "run", PIXELS, "--data.workers=1", "--data.held_out=0") == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: ")
    assert "04.jpg" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--representations.terms=[{kind: hogg}]"], "Closest: hog"),
        (["--representations.terms=[{kind: hog, options: {cell_px: 99}}]"], "at least one cell of 99 px"),
        (["--representations.terms=[{kind: hog, weight: -1}]"], "weight of representation hog is -1"),
        (["--representations.terms=[{kind: hog}, {kind: hog}]"], "each kind once"),
        (["--representations.terms=[]", *OFF], "expected at least one positive weight"),
        (["--views.mixup=0.5"], "views.mixup is 0.5; expected 0, because mixup needs a teacher"),
        (["--views.k=2"], "views.k is 2; expected 0, because fixed views need a teacher"),
        (["--run.name=resnet50-clip-kd"], "a name that is not in the catalog"),
        (["--student.architecture=resnet_of_nobody"], "resnet_of_nobody"),
        (["--optim.peak_lr=nan"], "optim.peak_lr"),
        (["--optim.peak_lrr=1"], "Closest: --optim.peak_lr"),
        (["--optim.batch_size=99"], "fewer than one batch of 99"),
        (["--trainer.precision=fp16"], "fp16, which needs CUDA"),
        (["--trainer.accelerator=cuda"], "PyTorch found no CUDA device"),
        (["--views.mean=[.nan, 0, 0]"], "views.mean"),
        (["--loss.views=.inf"], "loss.views is inf"),
        ([f"--representations.terms=[{{kind: '{__name__}:Flat'}}]"], "returned shape (2,) for 2 images"),
        (
            [f"--representations.terms=[{{kind: '{__name__}:Broken'}}]"],
            "failed on images of shape (2, 3, 32, 32): no idea",
        ),
        (["--optim.batch_size=3"], "optim.batch_size is 3; expected at least 4"),
        (["--data.cache=/proc/cache", "--representations.cached=true"], "/proc/cache"),
    ],
)
def test_a_run_that_cannot_start_is_one_clear_line(
    more: list[str], says: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("pretrain", photos, tmp_path / "run", *more) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: ")
    assert says in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "run" / "last.ckpt").exists()
