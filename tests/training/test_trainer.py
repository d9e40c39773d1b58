"""From a configuration to a run: which images, which plan, and what may not change the weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from mvmr_zoo.datasets import JoinedImages, image_folder
from mvmr_zoo.errors import CheckpointError, ConfigError, DataError
from training.config import DataConfig, OptimConfig, PretrainConfig, RunConfig, TrainerConfig
from training.trainer import FinishedError, prepare

from ..conftest import write_photos
from .small import EVERY_STEP, NAME, PIXELS, QUIET, same_weights, train


def config(photos: Path | tuple[str, ...], output: Path, **data: object) -> PretrainConfig:
    source = str(photos) if isinstance(photos, Path) else photos
    return PretrainConfig(
        data=DataConfig(train=source, **data),
        run=RunConfig(output=str(output), name=NAME),
        optim=OptimConfig(batch_size=8, epochs=2),
    )


def test_a_setup_holds_the_images_their_split_and_the_plan(photos: Path, tmp_path: Path) -> None:
    made = config(photos, tmp_path, held_out=0.25, limit=16)
    setup = prepare(made)
    assert (len(setup.data), len(setup.split.train), len(setup.split.held_out), setup.classes) == (24, 16, 6, 2)
    assert setup.resume_from is None
    plan = setup.plan(made)
    assert (plan.total_steps, plan.photos) == (4, 16)
    assert prepare(made).identity == setup.identity


def test_several_sources_are_one_set(photos: Path, tmp_path: Path) -> None:
    other = write_photos(tmp_path / "other", 8)
    setup = prepare(config((str(photos), str(other)), tmp_path / "run", held_out=0.25))
    assert isinstance(setup.data, JoinedImages)
    assert setup.data.class_names == [f"{part.name}/{c}" for part in setup.data.parts for c in "ab"]
    assert np.bincount(setup.data.labels[setup.split.held_out]).tolist() == [3, 3, 1, 1]
    assert setup.identity != prepare(config(photos, tmp_path / "run")).identity


def test_the_identity_follows_images_and_labels(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 12)
    made = config(folder, tmp_path / "run")
    identities = [prepare(made).identity]
    (folder / "b").rename(folder / "c")
    identities.append(prepare(made).identity)
    first = image_folder(folder).paths[0]
    first.write_bytes(first.read_bytes() + b" ")
    identities.append(prepare(made).identity)
    assert len(set(identities)) == 3


def test_what_cannot_be_trained_on_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="contains no photos"):
        prepare(config(tmp_path / "empty", tmp_path / "run"))
    one = write_photos(tmp_path / "one", 12)
    for photo in (one / "b").iterdir():
        photo.rename(one / "a" / photo.name)
    (one / "b").rmdir()
    with pytest.raises(DataError, match=r"contains only one class, a\. k-NN and the linear head need two"):
        prepare(config(one, tmp_path / "run"))
    quiet = config(one, tmp_path / "run")
    monitor = dataclasses.replace(quiet.monitor, knn_every_epochs=0, linear_lr=0)
    assert prepare(dataclasses.replace(quiet, monitor=monitor)).classes == 1


def test_a_batch_is_shared_equally(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    made = dataclasses.replace(config(photos, tmp_path), trainer=TrainerConfig(devices=3))
    with pytest.raises(ConfigError, match="batch_size is 8; expected a multiple of the 3 processes"):
        prepare(made)


def test_an_output_folder_that_holds_something_else(photos: Path, tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "notes.txt").write_text("mine")
    with pytest.raises(CheckpointError, match=NAME):
        prepare(config(photos, tmp_path))


def test_a_finished_run_is_an_error_of_its_own(photos: Path, tmp_path: Path) -> None:
    assert train("pretrain", photos, tmp_path, PIXELS, "--monitor.knn_every_epochs=0", "--optim.epochs=0.7") == 0
    with pytest.raises(FinishedError, match="This run has finished"):
        prepare(config(photos, tmp_path), resume=True)
    with pytest.raises(DataError, match="--resume"):
        prepare(config(photos, tmp_path))


def test_callbacks_change_no_weight(photos: Path, tmp_path: Path) -> None:
    quiet = ("--monitor.every_steps=1000", "--monitor.knn_every_epochs=0", "--monitor.linear_lr=0")
    loud = ("--monitor.every_steps=1", "--monitor.knn_every_epochs=0.5", "--monitor.linear_lr=0.01")
    assert train("pretrain", photos, tmp_path / "quiet", PIXELS, *quiet) == 0
    assert train("pretrain", photos, tmp_path / "loud", PIXELS, *loud) == 0
    same_weights(tmp_path / "loud", tmp_path / "quiet")


def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_good_weights(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = (PIXELS, EVERY_STEP, "--optim.name=sgd", "--optim.peak_lr=1e30", "--optim.epochs=20")
    assert train("pretrain", photos, tmp_path, *more) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "became NaN or infinite at step" in error
    assert "lower optim.peak_lr" in error
    if (tmp_path / "last.ckpt").exists():
        last = torch.load(tmp_path / "last.ckpt", weights_only=True)
        assert all(torch.isfinite(tensor).all() for name, tensor in last["state_dict"].items() if "running" not in name)


def test_a_step_of_several_batches_is_shown_once(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("pretrain", photos, tmp_path, PIXELS, QUIET, "--optim.accumulate=2", "--optim.epochs=3") == 0
    assert capsys.readouterr().out.count("Step 1 of ") == 1


def test_each_process_prepares_on_its_own_gpu(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setenv("LOCAL_RANK", "1")
    prepare(PretrainConfig(data=DataConfig(train=str(photos)), run=RunConfig(output=str(tmp_path), name=NAME)))
    assert chosen == [1]
