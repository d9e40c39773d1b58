"""What watches a run: it must stop a bad one, and change nothing about a good one."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from .small import train, weights

PIXELS = "--representations.terms=[{kind: pixels}]"


def test_collapse_stops_the_run_and_names_the_term(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pulling views together with nothing to hold embeddings apart: the textbook collapse."""
    more = (
        PIXELS.replace("pixels}", "pixels, weight: 0}"), "--loss.invariance=1", "--loss.variance=0", "--loss.views=0",
        "--optim.peak_lr=0.05", "--optim.weight_decay=0", "--optim.epochs=40", "--student.projector=[32]",
        "--monitor.collapse_rank=6",
    )  # fmt: skip
    assert train("pretrain", photos, tmp_path, *more) == 2
    error = capsys.readouterr().err
    assert "The embeddings collapsed by step" in error
    assert "invariance" in error
    assert "`variance`, which keeps them apart, has weight 0: raise loss.variance" in error
    last = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert all(torch.isfinite(tensor).all() for tensor in last["state_dict"].values())


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_good_weights(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = (PIXELS, "--optim.name=sgd", "--optim.peak_lr=1e30", "--optim.epochs=20", "--run.save_every_steps=1")
    assert train("pretrain", photos, tmp_path, *more) == 2
    error = capsys.readouterr().err
    assert "stopped being" in error
    assert "lower optim.peak_lr" in error
    if (tmp_path / "last.ckpt").exists():
        last = torch.load(tmp_path / "last.ckpt", weights_only=True)
        assert all(torch.isfinite(tensor).all() for name, tensor in last["state_dict"].items() if "running" not in name)


def test_monitors_change_no_weight(photos: Path, tmp_path: Path) -> None:
    quiet = ("--monitor.every_steps=1000", "--monitor.knn_every_epochs=0", "--monitor.linear_lr=0")
    loud = ("--monitor.every_steps=1", "--monitor.knn_every_epochs=0.5", "--monitor.linear_lr=0.01")
    assert train("pretrain", photos, tmp_path / "quiet", PIXELS, *quiet) == 0
    assert train("pretrain", photos, tmp_path / "loud", PIXELS, *loud) == 0
    expected = weights(tmp_path / "quiet")
    for name, tensor in weights(tmp_path / "loud").items():
        np.testing.assert_array_equal(tensor, expected[name], err_msg=name)


def test_the_linear_head_learns_and_survives_a_resume(photos: Path, tmp_path: Path) -> None:
    """Loss of the head on the same batches: a resumed run logs what an uninterrupted one logs."""
    more = (PIXELS, "--optim.epochs=4", "--run.save_every_steps=3", "--monitor.linear_lr=0.01")
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    assert train("pretrain", photos, whole, *more) == 0
    resumed.mkdir()
    (whole / "last.ckpt").rename(resumed / "last.ckpt")
    assert train("pretrain", photos, resumed, *more, "--resume") == 0
    first, second = losses(whole), losses(resumed)
    assert set(second) == {7, 8}
    assert all(second[step] == pytest.approx(first[step], abs=1e-6) for step in second)


def losses(output: Path) -> dict[int, float]:
    with (output / "logs" / "version_0" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {int(row["step"]): float(row["linear/loss"]) for row in rows if row.get("linear/loss")}
