"""The command from outside: train, kill, resume, and use what comes out."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from training.cache import CacheConfig
from training.command import execute
from training.teacher import teacher_rows

import mvmr_zoo
from mvmr_zoo.checkpoint import Checkpoint, read_checkpoint
from mvmr_zoo.datasets import image_folder
from training.config import DistillConfig
from training.distill import run as distill

CONFIG = Path(__file__).parents[2] / "training" / "configs" / "imagenette_kd.yaml"


def command(output: Path, photos: Path, teacher: Checkpoint, *more: str) -> list[str]:
    options = {
        "--config": CONFIG,
        "--data.train": photos,
        "--data.held_out": 0.1,
        "--data.workers": 1,
        "--run.output": output,
        "--run.name": "tiny-kd",
        "--run.save_every_steps": 2,
        "--monitor.every_steps": 5,
        "--monitor.knn_every_epochs": 1,
        "--teacher.spec": teacher.folder,
        "--views.sizes": '[{"start": 0.0, "px": 32}, {"start": 0.5, "px": 40}]',
        "--views.encoder_px": 40,
        "--student.architecture": "resnet8x4",
        "--student.projector": "[64, 256]",
        "--loss": '{"invariance": 1, "variance": 1, "views": 1, "teacher": 1, "regression": 1}',
        "--optim.batch_size": 4,
        "--optim.epochs": 3,
        "--optim.warmup": 0,
    }
    words = [str(word) for pair in options.items() for word in pair]
    return [sys.executable, "-W", "ignore", "-m", "training.distill", *words, *more]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, cwd=CONFIG.parents[2])


@pytest.fixture(scope="module")
def uninterrupted(photos: Path, checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("run")
    done = run(output, photos, checkpoint)
    assert done.returncode == 0, done.stderr
    assert "k-NN of held-out images" in done.stdout
    return output


def test_what_comes_out_is_a_model(uninterrupted: Path, photos: Path, checkpoint: Checkpoint) -> None:
    folder = uninterrupted / "tiny-kd"
    made = read_checkpoint(folder)
    model = mvmr_zoo.load(folder)
    assert made.check_golden(model.engine) >= 0.9999
    assert 0 <= made.config.metrics["held_out/knn@1"].value <= 1
    assert made.config.training["optim"]["batch_size"] == 4
    assert made.config.preprocess.crop_px == 40
    written = (folder / "config.json").read_text() + (folder / "README.md").read_text()
    assert str(photos.parent) not in written
    assert str(checkpoint.folder) not in written
    assert model.embed(sorted(photos.rglob("*.jpg"))).shape == (24, 256)
    assert "license: apache-2.0" in (folder / "README.md").read_text()


def rows_of(output: Path) -> list[dict[str, str]]:
    with (output / "logs" / "version_0" / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_term_is_logged(uninterrupted: Path) -> None:
    with (uninterrupted / "logs" / "version_0" / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("loss/total")]
    assert [int(row["step"]) for row in rows] == [5, 10, 15]
    row = rows[-1]
    terms = ("invariance", "variance", "views", "teacher", "regression")
    assert all(float(row[f"loss/{name}"]) > 0 for name in terms)
    assert sum(float(row[f"loss/{name}"]) for name in terms) == pytest.approx(float(row["loss/total"]), abs=1e-5)
    assert 1 - float(row["dcor/teacher"]) == pytest.approx(float(row["loss/teacher"]), abs=1e-5)
    assert {"dcor/views/independent", "dcor_unbiased/views", "spread/std", "spread/rank"} <= row.keys()
    assert any(other["linear/accuracy"] for other in rows_of(uninterrupted))
    assert any(other["knn/held_out"] for other in rows_of(uninterrupted))


def test_killed_anywhere_and_resumed_reaches_the_same_weights(
    uninterrupted: Path, photos: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    for _ in range(2):
        resume = ["--resume"] if (tmp_path / "last.ckpt").exists() else []
        before = (tmp_path / "last.ckpt").stat().st_mtime_ns if resume else 0
        process = subprocess.Popen(
            command(tmp_path, photos, checkpoint, *resume),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=CONFIG.parents[2],
        )  # fmt: skip
        while process.poll() is None:
            last = tmp_path / "last.ckpt"
            if last.exists() and last.stat().st_mtime_ns != before:
                os.kill(process.pid, signal.SIGKILL)
                break
            time.sleep(0.005)
        process.wait()
        assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "tiny-kd").exists()
    done = run(tmp_path, photos, checkpoint, "--resume")
    assert done.returncode == 0, done.stderr
    whole, resumed = (read_checkpoint(folder / "tiny-kd").weights() for folder in (uninterrupted, tmp_path))
    for name, tensor in whole.items():
        np.testing.assert_array_equal(resumed[name], tensor, err_msg=name)


def test_teacher_is_asked_once(uninterrupted: Path, photos: Path, checkpoint: Checkpoint) -> None:
    (cached,) = (uninterrupted / "cache").iterdir()
    before = (cached / "rows.npy").stat().st_mtime_ns
    folder = image_folder(photos)
    vectors = teacher_rows(str(checkpoint.folder), folder, uninterrupted / "cache", CacheConfig(dtype="float32"))
    assert (cached / "rows.npy").stat().st_mtime_ns == before
    expected = mvmr_zoo.load(checkpoint.folder).embed(folder.paths, normalize=False)
    np.testing.assert_allclose(vectors, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--optim.peak_lrr", "1"], "peak_lr"),
        (["--optim.peak_lr", "nan"], "optim.peak_lr"),
        (["--optim.batch_size", "500"], "fewer than one batch"),
        (["--data.train", "/nowhere"], "/nowhere is not a folder"),
        (["--teacher.spec", "effnet-lite:7"], "effnet-lite:0"),
        (["--run.name", "../elsewhere"], "run.name is ../elsewhere"),
        (["--run.name", "cache"], "run.name is cache"),
        (["--data.held_out", "-0.1"], "data.held_out is -0.1"),
        (["--views.augment.hue", "0.6"], "views.augment.hue is 0.6"),
        (["--views.augment.min_scale", "0"], "views.augment.min_scale"),
        (
            ["--loss", '{"regression": 0, "invariance": 0, "variance": 0, "views": 0, "teacher": 0}'],
            "one weight above 0",
        ),
        (["--run.output", "/proc/nowhere"], "/proc/nowhere"),
        (["--student.projector", "[64]"], "student.projector ends in 64"),
        (["--student.architecture", "resnet19"], "resnet8x4"),
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
    assert message in refusal(capsys, tmp_path, photos, checkpoint, *more)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a command which cannot run prints."""
    assert execute(DistillConfig, distill, None, command(*arguments)[5:]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: ")
    assert len(error.splitlines()) == 1
    return error


def test_a_finished_run_is_not_overwritten(
    uninterrupted: Path, photos: Path, checkpoint: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--resume" in refusal(capsys, uninterrupted, photos, checkpoint)


def test_another_configuration_cannot_resume(
    uninterrupted: Path, photos: Path, checkpoint: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--resume", "--optim.epochs", "4", "--data.workers", "0")
    error = refusal(capsys, uninterrupted, photos, checkpoint, *more)
    assert "optim.epochs: 3.0 before, 4.0 now" in error
    assert "workers" not in error


def test_a_damaged_checkpoint_is_named(
    photos: Path, checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "last.ckpt").write_bytes(b"PK")
    error = refusal(capsys, tmp_path, photos, checkpoint, "--resume")
    assert "last.ckpt cannot be resumed from" in error


def test_the_record_of_the_configuration_is_json(uninterrupted: Path) -> None:
    config = json.loads((uninterrupted / "tiny-kd" / "config.json").read_text())
    assert config["training"]["views"]["sizes"] == [{"start": 0.0, "px": 32}, {"start": 0.5, "px": 40}]
