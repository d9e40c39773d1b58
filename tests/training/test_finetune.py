from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

import mvmr_zoo
from mvmr_zoo.checkpoint import read_checkpoint
from mvmr_zoo.datasets import image_folder

from ..conftest import make_checkpoint, write_photos
from .small import NAME, QUIET, logged, same_weights, stop_at_step, train


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("zoo") / "start", "resnet8").folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("data") / "train", 40)


def test_a_tenth_of_the_labels(photos: Path, start: Path, tmp_path: Path) -> None:
    subset = tmp_path / "half.csv"
    more = (f"--student.start_from={start}", "--share=0.5", f"--subset={subset}", "--label_smoothing=0.1")
    assert train("finetune", photos, tmp_path / "run", *more) == 0
    with subset.open() as file:
        listed = [row[1] for row in list(csv.reader(file))[6:]]
    assert len(listed) == 16  # half of what is not held out
    made = read_checkpoint(tmp_path / "run" / NAME)
    assert made.config.class_names == ("a", "b")
    assert 0 <= made.config.metrics["held_out/top1"].value <= 1
    assert "Fine-tuned with labels on 0.5" in made.config.source
    head = made.head
    assert head is not None
    assert head.weight.shape == (2, 64)
    before = read_checkpoint(start).weights()
    assert any(np.abs(before[name] - tensor).max() > 1e-3 for name, tensor in made.weights().items())
    text = subset.read_text()
    assert train("finetune", photos, tmp_path / "again", *more) == 0
    assert subset.read_text() == text
    assert not (tmp_path / "again" / "subset-0.5.csv").exists()


def test_classes_that_differ_are_distinguished(photos: Path, start: Path, tmp_path: Path) -> None:
    """Photos against negatives: encoder and head of the finished checkpoint together, by its own preprocessing."""
    negatives = tmp_path / "photos"
    shutil.copytree(photos, negatives)
    for path in (negatives / "b").iterdir():
        with Image.open(path) as photo:
            ImageOps.invert(photo.convert("RGB").rotate(90)).save(path)
    plain = ("--views.augment.jitter=0", "--views.augment.gray=0", "--views.augment.min_scale=0.5")
    more = (f"--student.start_from={start}", "--data.held_out=0", "--optim.epochs=12", "--optim.peak_lr=0.01", *plain)
    assert train("finetune", negatives, tmp_path, *more) == 0
    folder, images = tmp_path / NAME, image_folder(negatives)
    head = read_checkpoint(folder).head
    assert head is not None
    logits = mvmr_zoo.load(folder).embed(images.paths, normalize=False) @ head.weight.T + head.bias
    assert (logits.argmax(axis=1) == images.labels).mean() > 0.75


def test_stopped_and_resumed_is_the_same(
    photos: Path, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = (f"--student.start_from={start}", QUIET)
    assert train("finetune", photos, tmp_path / "whole", *more) == 0
    resumed = tmp_path / "resumed"
    stop_at_step(monkeypatch, 3)
    assert train("finetune", photos, resumed, *more) == 143
    monkeypatch.undo()
    assert train("finetune", photos, resumed, *more, "--resume") == 0
    same_weights(resumed, tmp_path / "whole")
    first, second = (read_checkpoint(folder / NAME).head for folder in (tmp_path / "whole", resumed))
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.weight, second.weight)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "student.start_from is not given"),
        (["--student.start_from=effnet-lite1-whitened"], "whose architecture is effnet-lite:1; expected resnet8"),
        (["--student.start_from={start}", "--share=0"], "share is 0"),
        (["--student.start_from={start}", "--label_smoothing=1"], "label_smoothing is 1"),
        (["--student.start_from={start}", "--data.train={photos}/a"], "images without a label, or fewer than two"),
        (["--student.start_from=/nowhere"], "/nowhere"),
    ],
)
def test_a_run_that_cannot_start_is_one_clear_line(
    more: list[str], says: str, photos: Path, start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.format(start=start, photos=photos) for word in more]
    assert train("finetune", photos, tmp_path, *words) == 2
    error = capsys.readouterr().err
    assert says in error
    assert len(error.splitlines()) == 1


def test_the_first_and_the_last_step_are_logged(photos: Path, start: Path, tmp_path: Path) -> None:
    more = (f"--student.start_from={start}", "--optim.accumulate=2", "--monitor.every_steps=100", QUIET)
    assert train("finetune", photos, tmp_path, *more) == 0
    rows = logged(tmp_path, "loss/cross_entropy")
    assert [int(row["step"]) for row in rows] == [1, 4]
    assert all(0 <= float(row["train/accuracy"]) <= 1 for row in rows)
