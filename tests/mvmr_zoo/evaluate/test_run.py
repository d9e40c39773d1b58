from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import mvmr_zoo
from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.datasets import embed_images, image_folder
from mvmr_zoo.errors import ConfigError, DataError
from mvmr_zoo.evaluate import evaluate, knn, read_report
from mvmr_zoo.evaluate.cache import cached_features, images_digest

from ...command_line import refused, run
from ...conftest import write_photos
from ...hub_client import HubClient
from ...hub_server import HubServer


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Forty photos to fit on and sixteen to measure on, of two classes."""
    write_photos(tmp_path / "data" / "train", 40)
    write_photos(tmp_path / "data" / "val", 16)
    return tmp_path / "data"


class Counted:
    """An image set that counts how often an image is read."""

    def __init__(self, images: object) -> None:
        self.images, self.read = images, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.images, name)

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int, **options: object) -> object:
        self.read += 1
        return self.images.image(index, **options)


def test_a_second_time_no_image_is_read(
    checkpoint: Checkpoint, other_checkpoint: Checkpoint, data: Path, zoo: Path
) -> None:
    model, images = mvmr_zoo.load(checkpoint.folder), Counted(image_folder(data / "val"))
    first = cached_features(model, images)
    assert images.read == 16
    np.testing.assert_array_equal(
        first, embed_images(model.engine, model.preprocess, image_folder(data / "val"), range(16), dim=256)
    )
    again = Counted(image_folder(data / "val"))
    np.testing.assert_array_equal(cached_features(model, again), first)
    assert again.read == 0
    cached_features(mvmr_zoo.load(other_checkpoint.folder), again)
    assert again.read == 16


def test_a_changed_byte_misses_the_cache(checkpoint: Checkpoint, data: Path, zoo: Path) -> None:
    before = images_digest(image_folder(data / "val"))
    assert images_digest(image_folder(data / "val")) == before
    photo = data / "val" / "a" / "00.jpg"
    times = (photo.stat().st_atime_ns, photo.stat().st_mtime_ns)
    content = bytearray(photo.read_bytes())
    content[-3] ^= 1
    photo.write_bytes(content)
    os.utime(photo, ns=times)  # same size, same date: the time of change still tells
    assert images_digest(image_folder(data / "val")) != before


def test_a_cache_that_was_cut_short_is_made_again(checkpoint: Checkpoint, data: Path, zoo: Path) -> None:
    model, images = mvmr_zoo.load(checkpoint.folder), image_folder(data / "val")
    first = cached_features(model, images)
    (path,) = (zoo / ".evaluation" / "features").iterdir()
    path.write_bytes(path.read_bytes()[:300])
    np.testing.assert_array_equal(cached_features(model, images), first)


def test_reports_are_those_of_the_protocols(checkpoint: Checkpoint, data: Path, zoo: Path) -> None:
    report = evaluate("knn", str(checkpoint.folder), f"folder:{data}")
    model, train, test = mvmr_zoo.load(checkpoint.folder), image_folder(data / "train"), image_folder(data / "val")
    alone = knn(model.embed(train.paths), train.labels, model.embed(test.paths), test.labels)
    figure = report.figures["data/knn@1"]
    assert figure.value == pytest.approx(alone.accuracy, abs=1e-4)
    assert figure.images == 16
    assert report.weights == checkpoint.weights_digest
    assert report.images["test"] == test.fingerprint
    assert sum(pair.images for pair in report.confusions) == round(16 * (1 - alone.accuracy))


def test_a_folder_without_splits_gets_a_seeded_one(checkpoint: Checkpoint, data: Path, zoo: Path) -> None:
    one, two, other = (
        evaluate("knn", str(checkpoint.folder), f"folder:{data / 'train'}", seed=seed) for seed in (0, 0, 1)
    )
    assert one.figures == two.figures
    assert one.figures["train/knn@1"].images == 8
    assert one.images == two.images != other.images


def test_what_cannot_be_measured(checkpoint: Checkpoint, data: Path, zoo: Path, tmp_path: Path) -> None:
    spec = str(checkpoint.folder)
    with pytest.raises(ConfigError, match=r"No protocol is named 'kn'\. Closest: knn"):
        evaluate("kn", spec, f"folder:{data}")
    with pytest.raises(DataError, match="say where its files lie, with --data-root"):
        evaluate("knn", spec, "stl10")
    with pytest.raises(DataError, match="Closest: imagenette"):
        evaluate("knn", spec, "imagenete")
    (data / "val" / "a").rename(data / "val" / "z")
    with pytest.raises(DataError, match="train and test have other classes, first a"):
        evaluate("knn", spec, f"folder:{data}")
    (tmp_path / "flat").mkdir()
    write_photos(tmp_path / "flat" / "x", 2)
    with pytest.raises(DataError, match="x: the test split is empty"):
        evaluate("retrieval", spec, f"folder:{tmp_path / 'flat' / 'x'}")


def test_the_command(checkpoint: Checkpoint, data: Path, tmp_path: Path) -> None:
    arguments = ("--data", f"folder:{data}", "--output", tmp_path / "reports")
    done = run("eval", "all", "resnet18-imagenette-kd", *arguments, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "data/linear@1" in done.stdout
    names = sorted(path.name for path in (tmp_path / "reports").iterdir())
    assert names == [f"resnet18-imagenette-kd-data-{each}.json" for each in ("knn", "linear", "retrieval")]
    report = read_report(tmp_path / "reports" / names[0])
    assert report.figures["data/knn@1"].interval is not None
    assert json.loads((tmp_path / "reports" / names[0]).read_text())["machine"]["cores"]
    refused(run("eval", "knn", "resnet18-imagenette-kd", "--data", "cifar11", home=tmp_path), "Closest: cifar10")


def test_attached_figures_stand_on_the_card(tmp_path: Path, data: Path, checkpoint: Checkpoint) -> None:
    import shutil

    copy = shutil.copytree(checkpoint.folder, tmp_path / "copy")
    done = run("eval", "knn", copy, "--data", f"folder:{data}", "--attach", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| data/knn@1 | " in (tmp_path / "copy" / "README.md").read_text()
    assert run("verify", copy, home=tmp_path).returncode == 0


def test_imagenette_by_name(imagenette: Path, zoo: Path) -> None:
    splits = mvmr_zoo.datasets.open_splits("imagenette", imagenette.parent)
    assert (len(splits.train), len(splits.test)) == (9469, 3925)


def test_cifar10_by_name_in_parquet_files(imagenette: Path, zoo: Path) -> None:
    if not (imagenette.parent / "cifar10").is_dir():
        pytest.skip("MVMR_DATA names no folder with cifar10")
    cifar = mvmr_zoo.datasets.open_splits("cifar10", imagenette.parent)
    assert (len(cifar.train), len(cifar.test)) == (50_000, 10_000)
    assert cifar.test.class_names[0] == "airplane"


def test_figures_are_not_attached_in_the_hubs_cache(
    hub: HubServer, checkpoint: Checkpoint, data: Path, tmp_path: Path
) -> None:
    hub.store("org/tiny", checkpoint.folder)
    user = HubClient(hub, tmp_path / "user")
    before = user.load("hf-hub:org/tiny")
    command = ("-m", "mvmr_zoo.cli", "eval", "knn", "hf-hub:org/tiny", "--data", f"folder:{data}", "--attach")
    refused(user.run(*command), "lies in the Hub's cache")
    assert user.load("hf-hub:org/tiny", HF_HUB_OFFLINE="1") == before
