from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from ..small import EVERY_STEP, NAME, PIXELS, logged, stop_at_step, train


def test_the_head_trains_and_survives_a_resume(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses of the head on the same batches: a resumed run logs what an uninterrupted one logs."""
    more = (PIXELS, EVERY_STEP, "--optim.epochs=4", "--monitor.linear_lr=0.01", "--monitor.knn_every_epochs=0")
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    assert train("pretrain", photos, whole, *more) == 0
    stop_at_step(monkeypatch, 6)
    assert train("pretrain", photos, resumed, *more) == 143
    monkeypatch.undo()
    assert torch.load(resumed / "last.ckpt", weights_only=True)["global_step"] == 6
    (resumed / "logs").rename(resumed / "before")
    assert train("pretrain", photos, resumed, *more, "--resume") == 0
    first, second = losses(whole), losses(resumed)
    assert set(second) == {7, 8}
    assert all(second[step] == pytest.approx(first[step], abs=1e-6) for step in second)
    assert first[1] == pytest.approx(math.log(2))  # the head starts at zero
    assert len(set(first.values())) == 8
    assert (resumed / NAME).exists()


def losses(output: Path) -> dict[int, float]:
    return {int(row["step"]): float(row["linear/loss"]) for row in logged(output, "linear/loss")}
