from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mvmr_zoo.architectures.encoder import Encoder
from mvmr_zoo.checkpoint import read_checkpoint
from mvmr_zoo.datasets import ImageFolder, image_folder
from mvmr_zoo.evaluate import knn as protocol
from mvmr_zoo.images.preprocess import Preprocess
from training.callbacks import image_features, knn_accuracy
from training.callbacks import knn as knn_module
from training.data import Split, stratified_split

from ..small import NAME, PIXELS, logged, train

PREPROCESS = Preprocess(resize_px=36, crop_px=32)


@pytest.fixture(scope="module")
def images(photos: Path) -> ImageFolder:
    return image_folder(photos)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder("resnet8")


def test_the_accuracy_is_that_of_the_protocol(images: ImageFolder, encoder: Encoder) -> None:
    split = stratified_split(images.labels, 0.25, 0)
    found = knn_accuracy(encoder, PREPROCESS, images, split)
    assert encoder.training
    bank, queries = (image_features(encoder, PREPROCESS, images, rows) for rows in split)
    expected = protocol(bank, images.labels[split.train], queries, images.labels[split.held_out])
    assert found == (expected.accuracy, 6, 18, True, 32)
    assert str(found) == f"k-NN accuracy {found.accuracy:.3f} (6 held-out images, 18 training images, 32 px)"


@pytest.mark.parametrize("labels", [np.arange(24) % 2, np.arange(24) // 12, np.array([0] * 20 + [1] * 4)])
def test_without_held_out_images_each_half_of_a_class_answers_for_the_other(
    labels: np.ndarray, images: ImageFolder, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[np.ndarray] = []
    monkeypatch.setattr(knn_module, "image_features", lambda e, p, d, rows: asked.append(rows) or np.eye(24)[rows])
    relabeled = ImageFolder(images.root, images.paths, labels, images.class_names)
    found = knn_accuracy(encoder, PREPROCESS, relabeled, Split(np.arange(24), np.empty(0, np.int64)))
    assert found[1:] == (12, 12, False, 32)
    assert "(12 training images, 12 other training images" in str(found)
    bank, queries = asked
    assert sorted([*bank, *queries]) == list(range(24))
    np.testing.assert_array_equal(np.bincount(labels[bank]), np.bincount(labels[queries]))


@pytest.mark.parametrize(("classes", "bank", "queries"), [(2, 200, 200), (100, 5000, 2000), (3000, 3000, 2000)])
def test_bank_and_queries_are_capped(classes: int, bank: int, queries: int) -> None:
    labels = np.arange(60_000) % classes
    train, held_out = np.arange(0, 60_000, 2), np.arange(1, 60_000, 2)
    if classes % 2 == 0:  # else every class would be on one side
        train, held_out = np.arange(30_000), np.arange(30_000, 60_000)
    for rows, per_class, total, count in (
        (train, knn_module.BANK_PER_CLASS, knn_module.BANK_IMAGES, bank),
        (held_out, knn_module.QUERIES_PER_CLASS, knn_module.QUERY_IMAGES, queries),
    ):
        chosen = knn_module._sample(labels, rows, per_class, total)
        assert len(chosen) == len(set(chosen)) == count
        assert set(chosen) <= set(rows)
        assert np.ptp(np.bincount(labels[chosen])[: len(set(labels[chosen]))]) == 0


def test_images_without_a_label_are_no_queries() -> None:
    chosen = knn_module._sample(np.array([-1, 0, -1, 1, 0]), np.array([0, 1, 2, 4]), 9, 9)
    assert chosen.tolist() == [1, 4]


def test_a_run_without_held_out_images_says_so(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = (PIXELS, "--data.held_out=0", "--optim.epochs=0.7", "--monitor.knn_every_epochs=0.3")
    assert train("pretrain", photos, tmp_path, *more) == 0
    said = capsys.readouterr().out
    assert said.count("(12 training images, 12 other training images, 32 px)") == 2
    assert [int(row["step"]) for row in logged(tmp_path, "knn/train")] == [1, 2]  # the last step is measured once
    assert not read_checkpoint(tmp_path / NAME).config.metrics
