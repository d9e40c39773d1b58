"""Kills, SIGTERM, and resuming with the same or another configuration."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from mvmr_zoo.architectures.encoder import Encoder
from mvmr_zoo.checkpoint import Checkpoint, read_checkpoint
from mvmr_zoo.errors import TrainingError
from training.checkpointing import AtomicCheckpointIO, CheckpointWriter

from ..conftest import write_photos
from ..forked import TRAINING, run_forked
from .small import EVERY_STEP, NAME, OFF, PIXELS, QUIET, same_weights, stop_at_step, train, words

ROOT = Path(__file__).parents[2]

KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from tests.training.small import train

save, step = torch.save, int(sys.argv[1])

def dies(checkpoint, file):
    if checkpoint["global_step"] == step:
        file.write(b"half a file")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    save(checkpoint, file)

torch.save = dies
sys.exit(train(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), *sys.argv[5:]))
"""
"""A run that is killed while it writes the checkpoint of one step."""


@pytest.fixture(scope="module")
def more_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 photos without classes."""
    folder = tmp_path_factory.mktemp("more")
    for path in write_photos(folder / "classes", 12).rglob("*.jpg"):
        (folder / "flat").mkdir(exist_ok=True)
        path.rename(folder / "flat" / path.name)
    return folder / "flat"


LIVE = (
    *OFF,
    "--teacher.view=same",
    "--teacher.cached=false",
    "--views.mixup=0.4",
    "--views.augment.where=device",
    "--loss.regression=1",
    "--loss.similarity=1",
    "--loss.memory_bank=20",
    "--optim.ema=0.7",
    "--optim.schedule=wsd",
    "--optim.decay=0.5",
    "--optim.warmup=0.2",
    "--optim.warmup_shape=constant",
    "--optim.clip_norm=1",
    "--student.projector=[256]",
)
CACHED = (
    "--teacher.view=same",
    "--views.k=2",
    "--views.seed=7",
    "--views.sizes=[{start: 0, px: 32}, {start: 0.5, px: 40}]",
    "--loss.regression=1",
    "--optim.accumulate=2",
    "--optim.decay_vectors=true",
    "--optim.epochs=5",
    "--student.projector=[32, 256]",
)


@pytest.mark.parametrize("options", [LIVE, CACHED], ids=["live", "cached"])
def test_killed_while_it_saves_and_resumed_reaches_the_same_weights(
    options: tuple[str, ...], photos: Path, more_photos: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    sources = f"--data.train=[{photos}, {more_photos}]"
    more = (f"--teacher.spec={checkpoint.folder}", sources, EVERY_STEP, "--monitor.knn_every_epochs=0.5", *options)
    assert train("distill", photos, tmp_path / "whole", *more) == 0
    killed = tmp_path / "killed"
    done = run_forked(["-c", KILLED, "5", "distill", str(photos), str(killed), *more], os.environ, TRAINING, cwd=ROOT)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert list(killed.glob(".last.ckpt.*.part"))
    assert torch.load(killed / "last.ckpt", weights_only=True)["global_step"] == 4
    assert not (killed / NAME).exists()
    assert train("distill", photos, killed, *more, "--resume") == 0
    assert not list(killed.glob(".*"))
    same_weights(killed, tmp_path / "whole")
    whole, resumed = (read_checkpoint(folder / NAME).projector() for folder in (tmp_path / "whole", killed))
    assert whole is not None
    assert resumed is not None
    for name, tensor in whole.items():
        np.testing.assert_array_equal(resumed[name], tensor, err_msg=name)


def test_sigterm_saves_and_the_run_continues_bit_for_bit(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    more = (PIXELS, QUIET, "--optim.epochs=4", "--run.save_every_minutes=1000")
    assert train("pretrain", photos, tmp_path / "whole", *more) == 0
    assert signal.getsignal(signal.SIGTERM) == before
    output = tmp_path / "stopped"
    stop_at_step(monkeypatch, 3)
    assert train("pretrain", photos, output, *more) == 143
    assert capsys.readouterr().err.splitlines()[-1] == "Stopped. Run the same command with --resume to continue."
    assert signal.getsignal(signal.SIGTERM) == before
    monkeypatch.undo()
    assert torch.load(output / "last.ckpt", weights_only=True)["global_step"] == 3
    assert not (output / NAME).exists()
    assert train("pretrain", photos, output, *more, "--resume") == 0
    same_weights(output, tmp_path / "whole")


def test_layers_that_draw_at_random_draw_the_same_after_a_stop(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = (PIXELS, QUIET, *OFF, "--optim.epochs=4", "--optim.accumulate=2")

    def drops(self: Encoder, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.nn.functional.dropout(self.backbone(images), 0.5, self.training)
        return found

    monkeypatch.setattr(Encoder, "forward", drops)
    assert train("pretrain", photos, tmp_path / "whole", *more) == 0
    with pytest.MonkeyPatch.context() as patch:
        stop_at_step(patch, 1)
        assert train("pretrain", photos, tmp_path / "stopped", *more) == 143
    assert train("pretrain", photos, tmp_path / "stopped", *more, "--resume") == 0
    same_weights(tmp_path / "stopped", tmp_path / "whole")


def stop_after_micro_batch(patch: pytest.MonkeyPatch, number: int) -> list[int]:
    """Send SIGTERM after some micro-batches. The list has the steps done after each."""
    seen: list[int] = []
    finish = CheckpointWriter.on_train_batch_end

    def stop(self: CheckpointWriter, trainer: pl.Trainer, *more: object) -> None:
        seen.append(trainer.global_step)
        if len(seen) == number:
            signal.raise_signal(signal.SIGTERM)
        finish(self, trainer, *more)

    patch.setattr(CheckpointWriter, "on_train_batch_end", stop)
    return seen


def test_sigterm_between_micro_batches_finishes_the_step(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = (PIXELS, QUIET, "--optim.epochs=8", "--optim.accumulate=4")
    send = stop_after_micro_batch(monkeypatch, 6)
    assert train("pretrain", photos, tmp_path, *more) == 143
    assert send == [0, 0, 0, 1, 1, 1, 1, 2]  # steps done after each micro-batch; the signal came with the sixth
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 2


def test_sigterm_stops_all_processes(photos: Path, tmp_path: Path) -> None:
    """One of two processes gets the signal; both finish the step, one saves, and both stop."""
    command = words(photos, tmp_path, PIXELS, QUIET, "--optim.epochs=5000", "--trainer.devices=2")
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "training.pretrain", *command],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    metrics = tmp_path / "logs" / "version_0" / "metrics.csv"
    while process.poll() is None and not metrics.exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGTERM)
    try:
        error = process.communicate(timeout=300)[1]
    finally:
        process.kill()
    assert process.returncode == 143, error
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] > 0


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)

    def full(checkpoint: object, file: object) -> None:
        raise RuntimeError("[enforce fail] unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(TrainingError, match=r"last\.ckpt cannot be written"):
        AtomicCheckpointIO().save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.fixture(scope="module")
def finished(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that finished at step 4 of 4."""
    output = tmp_path_factory.mktemp("finished")
    assert train("pretrain", photos, output, PIXELS, QUIET) == 0
    return output


@pytest.fixture
def stopped(finished: Path, tmp_path: Path) -> Path:
    """The same without its result."""
    output = Path(shutil.copytree(finished, tmp_path / "stopped"))
    shutil.rmtree(output / NAME)
    return output


def test_a_finished_run_says_so(finished: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (finished / "last.ckpt").stat().st_mtime_ns
    assert train("pretrain", photos, finished, PIXELS, QUIET, "--resume") == 0
    said = capsys.readouterr()
    assert f"This run has finished. Its result is in {finished / NAME}." in said.out
    assert "raise optim.epochs and add --allow_config_change" in said.out
    assert said.err == ""
    assert (finished / "last.ckpt").stat().st_mtime_ns == before


def test_a_finished_run_can_be_trained_longer(finished: Path, photos: Path, tmp_path: Path) -> None:
    output = Path(shutil.copytree(finished, tmp_path / "longer"))
    longer = (PIXELS, QUIET, "--optim.epochs=4", "--resume", "--allow_config_change")
    before = read_checkpoint(output / NAME).weights_digest
    assert train("pretrain", photos, output, *longer) == 0
    assert torch.load(output / "last.ckpt", weights_only=True)["global_step"] == 8
    assert read_checkpoint(output / NAME).weights_digest != before


def test_a_run_that_is_trained_longer_can_be_stopped_and_resumed(finished: Path, photos: Path, tmp_path: Path) -> None:
    output = Path(shutil.copytree(finished, tmp_path / "longer"))
    longer = (PIXELS, QUIET, "--optim.epochs=4", "--resume")
    with pytest.MonkeyPatch.context() as patch:
        stop_at_step(patch, 6)
        assert train("pretrain", photos, output, *longer, "--allow_config_change") == 143
    assert train("pretrain", photos, output, *longer) == 0
    assert torch.load(output / "last.ckpt", weights_only=True)["global_step"] == 8


def test_a_run_is_not_started_over(finished: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("pretrain", photos, finished, PIXELS, QUIET) == 2
    assert "Add --resume to continue that run, or choose another run.output" in capsys.readouterr().err


def test_a_changed_option_is_refused_unless_allowed(
    stopped: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = (PIXELS, "--resume", "--optim.epochs=4", "--loss.views=0.5", "--data.workers=1")
    assert train("pretrain", photos, stopped, *changed) == 2
    error = capsys.readouterr().err
    assert "(loss.views: 1.0 before, 0.5 now; optim.epochs: 2.0 before, 4.0 now)" in error
    assert "or add --allow_config_change" in error
    assert train("pretrain", photos, stopped, *changed, "--allow_config_change", "--data.workers=0") == 0
    assert "Resuming with another configuration: loss.views" in capsys.readouterr().out
    assert torch.load(stopped / "last.ckpt", weights_only=True)["global_step"] == 8


@pytest.mark.parametrize(
    "option",
    ["student.projector=[16, 16]", "optim.name=sgd", "optim.batch_size=6", "optim.decay_vectors=true", "run.seed=1"],
)
def test_what_the_state_does_not_fit_is_never_allowed(
    option: str, stopped: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("pretrain", photos, stopped, PIXELS, QUIET, f"--{option}", "--resume", "--allow_config_change") == 2
    error = capsys.readouterr().err
    assert f"cannot be resumed after a change of {option.partition('=')[0]}" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(("before", "now"), [("0", "1"), ("1", "0")])
def test_what_has_a_state_is_not_turned_on_or_off(
    before: str,
    now: str,
    photos: Path,
    checkpoint: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    more = (*OFF, QUIET, f"--teacher.spec={checkpoint.folder}", "--student.projector=[32, 256]")
    stop_at_step(monkeypatch, 1)
    on = (f"--loss.similarity={before}", f"--optim.ema={0.5 * float(before)}")
    assert train("distill", photos, tmp_path, *more, *on) == 143
    again = (f"--loss.similarity={now}", f"--optim.ema={0.5 * float(now)}", "--resume", "--allow_config_change")
    assert train("distill", photos, tmp_path, *more, *again) == 2
    assert "cannot be resumed after a change of loss.similarity, optim.ema" in capsys.readouterr().err
    monkeypatch.undo()
    kept = (f"--loss.similarity={2 * float(before)}", f"--optim.ema={0.6 * float(before)}", *again[2:])
    assert train("distill", photos, tmp_path, *more, *kept) == 0


def test_an_allowed_learning_rate_and_weight_decay_count(stopped: Path, photos: Path) -> None:
    changed = ("--optim.peak_lr=2e-5", "--optim.weight_decay=0.5", "--optim.epochs=4", "--optim.final_lr=0.5")
    assert train("pretrain", photos, stopped, PIXELS, QUIET, *changed, "--resume", "--allow_config_change") == 0
    state = torch.load(stopped / "last.ckpt", weights_only=True)
    matrices, vectors = state["optimizer_states"][0]["param_groups"]
    assert matrices["weight_decay"] == 0.5
    assert vectors["weight_decay"] == 0
    assert 1e-5 <= matrices["lr"] < 2e-5
    assert state["lr_schedulers"][0]["base_lrs"] == [2e-5, 2e-5]


def test_other_labels_or_other_images_are_refused(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "train"
    shutil.copytree(photos, folder)
    assert train("pretrain", folder, tmp_path / "run", PIXELS, QUIET) == 0
    shutil.rmtree(tmp_path / "run" / NAME)
    (folder / "b").rename(folder / "c")
    assert train("pretrain", folder, tmp_path / "run", PIXELS, QUIET, "--resume") == 2
    assert "photos: " in capsys.readouterr().err
    other = write_photos(tmp_path / "other" / "train", 20)
    assert train("pretrain", other, tmp_path / "run", PIXELS, QUIET, "--resume") == 2
    assert "photos: " in capsys.readouterr().err


def test_another_teacher_of_the_same_name_is_refused(
    photos: Path, checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(checkpoint.folder, tmp_path / "elsewhere" / checkpoint.folder.name)
    assert train("distill", photos, tmp_path / "run", QUIET, f"--teacher.spec={checkpoint.folder}") == 0
    shutil.rmtree(tmp_path / "run" / NAME)
    assert train("distill", photos, tmp_path / "run", QUIET, f"--teacher.spec={other}", "--resume") == 2
    assert "teacher.spec: " in capsys.readouterr().err


def test_a_damaged_checkpoint_is_named(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "last.ckpt").write_bytes(b"PK")
    assert train("pretrain", photos, tmp_path, PIXELS, "--resume") == 2
    error = capsys.readouterr().err
    assert "last.ckpt cannot be used to resume" in error
    assert len(error.splitlines()) == 1
