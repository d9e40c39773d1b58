"""Distillation: what comes out, what is logged, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mvmr_zoo
from mvmr_zoo.checkpoint import Checkpoint, read_checkpoint
from mvmr_zoo.datasets import image_folder
from training.config import TeacherConfig, ViewConfig
from training.targets.teacher import teacher_rows

from .small import NAME, OFF, QUIET, logged, train

TERMS = ("invariance", "variance", "views", "teacher", "regression", "similarity")


@pytest.fixture(scope="module")
def finished(photos: Path, checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of every term."""
    output = tmp_path_factory.mktemp("run")
    more = (
        f"--teacher.spec={checkpoint.folder}",
        "--student.projector=[32, 256]",
        "--loss.regression=1",
        "--loss.similarity=1",
        "--run.license=apache-2.0",
        "--views.encoder_px=40",
    )
    assert train("distill", photos, output, *more) == 0
    return output


def test_what_comes_out_is_a_model(finished: Path, photos: Path) -> None:
    folder = finished / NAME
    made = read_checkpoint(folder)
    model = mvmr_zoo.load(folder)
    assert made.check_golden(model.engine) >= 0.9999
    assert 0 <= made.config.metrics["held_out/knn-v1"].value <= 1
    assert made.config.task == "distillation"
    assert made.config.training["optim"]["batch_size"] == 8
    assert made.config.preprocess.crop_px == 40
    assert model.embed(sorted(photos.rglob("*.jpg"))).shape == (24, 64)
    assert "license: apache-2.0" in (folder / "README.md").read_text()


def test_every_term_is_logged(finished: Path) -> None:
    rows = logged(finished)
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4]
    assert not rows[0]["loss/similarity"]  # the memory bank is empty
    row = rows[-1]
    assert all(float(row[f"loss/{name}"]) > 0 for name in TERMS)
    assert sum(float(row[f"loss/{name}"]) for name in TERMS) == pytest.approx(float(row["loss/total"]), abs=1e-5)
    assert 1 - float(row["dcor/teacher"]) == pytest.approx(float(row["loss/teacher"]), abs=1e-5)
    assert {"dcor/views/independent", "dcor_unbiased/views", "spread/std", "spread/rank"} <= row.keys()
    assert logged(finished, "linear/accuracy")
    assert logged(finished, "knn/held_out")


def test_the_teacher_is_embedded_once(finished: Path, photos: Path, checkpoint: Checkpoint) -> None:
    (cached,) = (finished / "cache").iterdir()
    before = (cached / "rows.npy").stat().st_mtime_ns
    images = image_folder(photos)
    config = TeacherConfig(spec=str(checkpoint.folder))
    vectors = teacher_rows(config.specs[0], config, ViewConfig(), images, finished / "cache")
    assert (cached / "rows.npy").stat().st_mtime_ns == before
    expected = mvmr_zoo.load(checkpoint.folder).embed(images.paths, normalize=False)
    np.testing.assert_allclose(vectors, expected, atol=1e-4)


def test_another_view_seed_is_another_cache_and_another_run_seed_is_not(
    photos: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    cache, more = tmp_path / "cache", (f"--teacher.spec={checkpoint.folder}", "--teacher.view=same", "--views.k=2")
    short = (QUIET, "--optim.epochs=0.4", f"--data.cache={cache}")
    counts = []
    for number, seeds in enumerate([("0", "0"), ("1", "0"), ("0", "1")]):
        run, view = seeds
        options = (*more, *short, f"--run.seed={run}", f"--views.seed={view}")
        assert train("distill", photos, tmp_path / str(number), *options) == 0
        counts.append(len(list(cache.glob("*/manifest.json"))))
    assert counts == [1, 1, 2]


@pytest.mark.parametrize(
    "more",
    [
        ["--teacher.view=same", "--teacher.cached=false", "--trainer.precision=bf16"],
        ["--teacher.view=same", "--views.k=2", "--teacher.cached=false", "--teacher.px=40"],
        ["--teacher.view=same", "--views.k=2", "--views.mixup=0.2", *OFF, "--teacher.cache.dtype=float16"],
        ["--loss.similarity=1", "--loss.teacher=0", *OFF, "--student.projector=[256]", "--optim.accumulate=2"],
    ],
)
def test_every_option_trains(more: list[str], photos: Path, checkpoint: Checkpoint, tmp_path: Path) -> None:
    assert train("distill", photos, tmp_path, f"--teacher.spec={checkpoint.folder}", QUIET, *more) == 0
    totals = [float(row["loss/total"]) for row in logged(tmp_path)]
    assert np.isfinite(totals).all()
    assert len(totals) == (2 if "--optim.accumulate=2" in more else 4)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--optim.peak_lrr=1"], "Closest: --optim.peak_lr"),
        (["--optim.peak_lr=nan"], "optim.peak_lr"),
        (["--optim.batch_size=500"], "fewer than one batch"),
        (["--data.train=/nowhere"], "/nowhere is not a valid data source"),
        (["--teacher.spec=effnet-lite:7"], "effnet-lite:0"),
        (["--run.name=../elsewhere"], "run.name is ../elsewhere"),
        (["--data.held_out=-0.1"], "data.held_out is -0.1"),
        (["--views.augment.hue=0.6"], "views.augment.hue is 0.6"),
        ([*OFF, "--loss.teacher=0"], "at least one positive weight"),
        (["--run.output=/proc/nowhere"], "/proc/nowhere"),
        (["--loss.regression=1"], "student.projector is 32, but the targets have 256 dimensions"),
        (["--loss.similarity=1"], "student.projector is 32, but the targets have 256 dimensions"),
        (["--student.architecture=resnet19"], "resnet18"),
        (["--views.mixup=0.2"], "views.mixup is 0.2; expected 0, or teacher.view: same"),
        (["--views.k=2"], "views.k is 2; expected 0, or teacher.view: same"),
        (["--teacher.view=same"], "views.k is 0; expected at least 1"),
        (["--teacher.view=same", "--views.k=1", "--teacher.spec=embeddings:x"], "contains one vector per photo"),
        (["--teacher.spec=embeddings:/nowhere"], "not an embeddings folder"),
        (["--data.cache=/proc/cache"], "/proc/cache"),
    ],
)
def test_a_run_that_cannot_start_is_one_clear_line(
    more: list[str],
    message: str,
    photos: Path,
    checkpoint: Checkpoint,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train("distill", photos, tmp_path, f"--teacher.spec={checkpoint.folder}", *more) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: ")
    assert message.format(teacher=checkpoint.folder) in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "last.ckpt").exists()
    assert not list(tmp_path.rglob("rows.npy"))  # nothing was computed before
