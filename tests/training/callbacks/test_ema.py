from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mvmr_zoo.architectures.encoder import Encoder
from mvmr_zoo.checkpoint import read_checkpoint
from training.callbacks import Ema
from training.callbacks.ema import averaged_encoder
from training.checkpointing import AtomicCheckpointIO

from ..small import EVERY_STEP, NAME, PIXELS, logged, same_weights, train, weights

DECAY = 0.6


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Copies of all checkpoints of a run."""
    found: list[dict[str, Any]] = []

    def save(self: object, checkpoint: dict[str, Any], path: object, storage_options: object = None) -> None:
        copies = {
            name: {k: v.clone() for k, v in checkpoint[name].items()} for name in ("state_dict", "current_model_state")
        }
        found.append({"step": checkpoint["global_step"], **copies})

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", save)
    return found


def test_the_finished_encoder_has_the_average_of_the_weights(
    photos: Path, tmp_path: Path, saved: list[dict[str, Any]]
) -> None:
    """Against an average one weight at a time, from the end of the warm-up on."""
    more = (
        PIXELS,
        EVERY_STEP,
        f"--optim.ema={DECAY}",
        "--optim.epochs=3",
        "--optim.warmup=0.34",
        "--optim.peak_lr=0.01",
    )
    assert train("pretrain", photos, tmp_path, *more) == 0
    assert [each["step"] for each in saved] == [1, 2, 3, 4, 5, 6]
    trained = [each["current_model_state"] for each in saved]
    names = [name for name, tensor in trained[0].items() if tensor.is_floating_point()]
    average = {name: trained[2][name].double() for name in names}  # two of six steps are the warm-up
    for state in trained[3:]:
        average = {name: DECAY * average[name] + (1 - DECAY) * state[name].double() for name in names}
    for name in names:
        torch.testing.assert_close(
            saved[-1]["state_dict"][name].double(), average[name], rtol=1e-5, atol=1e-6, msg=name
        )
    for name, tensor in weights(tmp_path).items():
        np.testing.assert_allclose(tensor, average[f"encoder.{name}"], rtol=1e-3, atol=1e-4, err_msg=name)
    last = trained[-1]
    assert max((average[name] - last[name]).abs().max() for name in names) > 1e-3


def test_the_average_counts_once_there_is_one() -> None:
    """k-NN measures it; before the first step that counts it still has the initial weights."""
    own, average = Encoder("resnet8"), Encoder("resnet8")
    ema, module = Ema(0.5, start=2), SimpleNamespace(encoder=own)
    trainer = SimpleNamespace(callbacks=[ema])
    assert averaged_encoder(trainer, module) is own
    for updates, expected in ((0, own), (1, average)):
        ema._average_model = SimpleNamespace(n_averaged=torch.tensor(updates), module=SimpleNamespace(encoder=average))
        assert averaged_encoder(trainer, module) is expected
    assert averaged_encoder(SimpleNamespace(callbacks=[]), module) is own


def test_a_run_shorter_than_its_warm_up_averages_its_last_step(photos: Path, tmp_path: Path) -> None:
    more = (PIXELS, "--optim.epochs=1", "--optim.warmup=0.9", "--monitor.knn_every_epochs=0")
    assert train("pretrain", photos, tmp_path / "average", *more, "--optim.ema=0.9") == 0
    assert train("pretrain", photos, tmp_path / "last", *more) == 0
    expected = weights(tmp_path / "last")
    for name, tensor in weights(tmp_path / "average").items():
        np.testing.assert_array_equal(tensor, expected[name], err_msg=name)
    assert len(logged(tmp_path / "average")) == 2


def test_a_run_that_was_stopped_before_its_result_was_written_still_has_the_average(
    photos: Path, tmp_path: Path
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert train("pretrain", photos, whole, PIXELS, f"--optim.ema={DECAY}") == 0
    shutil.copytree(whole, stopped)
    shutil.rmtree(stopped / NAME)
    assert train("pretrain", photos, stopped, PIXELS, f"--optim.ema={DECAY}", "--resume") == 0
    same_weights(stopped, whole)
    found, expected = (read_checkpoint(output / NAME).config.metrics for output in (stopped, whole))
    assert found == expected
    assert found
