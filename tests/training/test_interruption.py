"""SIGTERM, and resuming with another configuration. Kills are in test_distill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ..conftest import write_photos
from .small import NAME, train, weights

PIXELS = "--representations.terms=[{kind: pixels}]"
LONG = (PIXELS, "--optim.epochs=12", "--monitor.knn_every_epochs=0", "--run.save_every_steps=1000")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("data") / "train", 24)


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


def test_other_images_cannot_be_gone_on_with(stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = write_photos(tmp_path / "other" / "train", 20)
    assert train("pretrain", other, stopped, PIXELS, "--resume") == 2
    assert "photos: " in capsys.readouterr().err
