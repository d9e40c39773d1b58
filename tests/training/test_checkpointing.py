"""SIGTERM, and resuming with another configuration. Kills are in test_distill."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from mvmr_zoo.checkpoint import Checkpoint

from ..conftest import write_photos
from .small import NAME, train, weights

PIXELS = "--representations.terms=[{kind: pixels}]"
LONG = (PIXELS, "--optim.epochs=12", "--monitor.knn_every_epochs=0", "--run.save_every_steps=1000")


SCRIPT = """
import sys
from pathlib import Path
from tests.training.small import train
sys.exit(train("pretrain", Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
"""


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums depend on how many threads share them; other libraries in this process may have changed the number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_sigterm_saves_and_the_run_goes_on_bit_for_bit(photos: Path, tmp_path: Path) -> None:
    assert train("pretrain", photos, tmp_path / "whole", *LONG) == 0
    output = tmp_path / "stopped"
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(photos), str(output), *LONG],
        cwd=Path(__file__).parents[2], env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    metrics = output / "logs" / "version_0" / "metrics.csv"
    while process.poll() is None and not metrics.exists():
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGTERM)
    error = process.communicate()[1]
    assert process.returncode == 143, error
    assert "Stopped by SIGTERM; run it again with --resume" in error
    step = torch.load(output / "last.ckpt", weights_only=True)["global_step"]
    assert 0 < step < 24
    assert not (output / NAME).exists()
    assert train("pretrain", photos, output, *LONG, "--resume") == 0
    expected = weights(tmp_path / "whole")
    for name, tensor in weights(output).items():
        np.testing.assert_array_equal(tensor, expected[name], err_msg=name)


@pytest.mark.parametrize("more", [["--optim.accumulate=6"], ["--trainer.devices=2", "--data.workers=0"]])
def test_sigterm_between_micro_batches_and_with_two_processes(more: list[str], photos: Path, tmp_path: Path) -> None:
    """Whoever is asked, all finish the step, one saves, and all stop."""
    output = tmp_path / "run"
    options = {
        "data.train": photos, "data.held_out": 0.2, "data.workers": 0, "run.output": output, "run.name": NAME,
        "run.save_every_steps": 1000, "views.sizes": "[{start: 0.0, px: 32}]", "views.encoder_px": 32,
        "student.architecture": "resnet8", "student.projector": "[32, 32]", "optim.batch_size": 8,
        "optim.epochs": 5000, "monitor.every_steps": 1, "monitor.knn_every_epochs": 0, "trainer.tensorboard": "false",
    }  # fmt: skip
    words = [PIXELS, *(f"--{name}={value}" for name, value in options.items()), *more]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "training.pretrain", *words],
        cwd=Path(__file__).parents[2], env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    metrics = output / "logs" / "version_0" / "metrics.csv"
    while process.poll() is None and not metrics.exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGTERM)
    try:
        error = process.communicate(timeout=120)[1]
    finally:
        process.kill()
    assert process.returncode == 143, error
    assert torch.load(output / "last.ckpt", weights_only=True)["global_step"] > 0


@pytest.fixture
def stopped(photos: Path, tmp_path: Path) -> Path:
    """A run's folder as it was at step 4 of 4."""
    assert train("pretrain", photos, tmp_path, PIXELS) == 0
    return tmp_path


def test_a_changed_option_is_refused_unless_allowed(
    stopped: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = (PIXELS, "--resume", "--optim.epochs=4", "--loss.views=0.5")
    assert train("pretrain", photos, stopped, *changed) == 2
    error = capsys.readouterr().err
    assert "loss.views: 1.0 before, 0.5 now; optim.epochs: 2.0 before, 4.0 now" in error
    assert "--allow-config-change" in error
    (stopped / NAME).rename(stopped / "before")
    assert train("pretrain", photos, stopped, *changed, "--allow-config-change") == 0
    assert "Going on with another configuration: loss.views" in capsys.readouterr().out
    assert torch.load(stopped / "last.ckpt", weights_only=True)["global_step"] == 8


def test_what_the_state_does_not_fit_is_never_allowed(
    stopped: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("--student.projector=[16, 16]", "--optim.name=sgd", "--optim.batch_size=6", "--run.seed=1"):
        assert train("pretrain", photos, stopped, PIXELS, option, "--resume", "--allow-config-change") == 2
        error = capsys.readouterr().err
        assert "cannot go on with another" in error
        assert option[2:].partition("=")[0] in error


def test_an_allowed_learning_rate_and_weight_decay_count(
    stopped: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (stopped / NAME).rename(stopped / "before")
    changed = ("--optim.peak_lr=2e-5", "--optim.weight_decay=0.5", "--optim.epochs=4", "--optim.final_lr=0.5")
    assert train("pretrain", photos, stopped, PIXELS, *changed, "--resume", "--allow-config-change") == 0
    state = torch.load(stopped / "last.ckpt", weights_only=True)
    matrices, vectors = state["optimizer_states"][0]["param_groups"]
    assert matrices["weight_decay"] == 0.5
    assert vectors["weight_decay"] == 0
    assert 1e-5 <= matrices["lr"] < 2e-5
    assert state["lr_schedulers"][0]["base_lrs"] == [2e-5, 2e-5]


def test_other_labels_cannot_be_gone_on_with(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "train"
    shutil.copytree(photos, folder)
    assert train("pretrain", folder, tmp_path / "run", PIXELS) == 0
    (folder / "b").rename(folder / "c")
    assert train("pretrain", folder, tmp_path / "run", PIXELS, "--resume") == 2
    assert "photos: " in capsys.readouterr().err


def test_another_teacher_of_the_same_name_cannot_go_on(
    photos: Path, checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(checkpoint.folder, tmp_path / "elsewhere" / checkpoint.folder.name)
    assert train("distill", photos, tmp_path / "run", f"--teacher.spec={checkpoint.folder}") == 0
    assert train("distill", photos, tmp_path / "run", f"--teacher.spec={other}", "--resume") == 2
    assert "teacher.spec: " in capsys.readouterr().err


def test_other_images_cannot_be_gone_on_with(stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = write_photos(tmp_path / "other" / "train", 20)
    assert train("pretrain", other, stopped, PIXELS, "--resume") == 2
    assert "photos: " in capsys.readouterr().err
