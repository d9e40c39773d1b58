from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.errors import CheckpointError, ConfigError, ImageError
from mvmr_zoo.images.preprocess import Preprocess
from mvmr_zoo.inference.model import Model
from mvmr_zoo.inference.pipeline import DecodedImage, embed, embed_stream, unit
from mvmr_zoo.models.loading import load


@pytest.fixture(scope="module")
def model(checkpoint: Checkpoint) -> Model:
    return load(checkpoint.folder)


@pytest.fixture
def paths(photo_folder: Path) -> list[Path]:
    return sorted(photo_folder.rglob("*.jpg"))


def test_one_row_an_image_in_order_and_of_unit_length(model: Model, paths: list[Path]) -> None:
    vectors = model.embed(paths, batch_size=5)
    assert vectors.shape == (len(paths), model.card.embedding_dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    one_by_one = np.concatenate([model.embed(path) for path in paths])
    np.testing.assert_allclose(vectors, one_by_one, atol=1e-4)


def test_every_kind_of_image_gives_the_same_vector(model: Model, paths: list[Path]) -> None:
    image = Image.open(paths[0]).convert("RGB")
    image.save(png := paths[0].with_suffix(".png"))  # a JPEG may be decoded at half its size
    pixels = np.asarray(image)
    tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    kinds = [png, str(png), image, pixels, tensor, tensor.float() / 255]
    vectors = model.embed(kinds)
    np.testing.assert_allclose(vectors, np.broadcast_to(vectors[0], vectors.shape), atol=1e-5)
    for kind in kinds:
        assert model.embed(kind).shape == (1, model.card.embedding_dim)


def test_an_open_image_is_made_upright_and_checked(model: Model, paths: list[Path], tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(paths[0]) as image:
        image.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as turned:
        np.testing.assert_allclose(model.embed(turned), model.embed(tmp_path / "turned.png"), atol=1e-5)
    (tmp_path / "cut.jpg").write_bytes(paths[0].read_bytes()[:2000])
    with Image.open(tmp_path / "cut.jpg") as cut:
        result = model.embed_with_failures([cut, paths[1]])
    assert result.rows.tolist() == [1]
    assert "truncated" in result.failures[0].reason


def test_features_as_they_are(model: Model, paths: list[Path]) -> None:
    raw = model.embed(paths, normalize=False)
    np.testing.assert_allclose(unit(raw), model.embed(paths), atol=1e-6)
    assert np.abs(np.linalg.norm(raw, axis=1) - 1).max() > 0.01


def test_bad_images_are_skipped_with_their_reason(model: Model, paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no photo")
    mixed = [tmp_path / "none.jpg", *paths[:3], tmp_path / "text.jpg", np.zeros((3, 3, 5)), *paths[3:]]
    result = model.embed_with_failures(mixed, batch_size=4)
    assert [failure.row for failure in result.failures] == [0, 4, 5]
    assert result.rows.tolist() == [row for row in range(len(mixed)) if row not in (0, 4, 5)]
    np.testing.assert_allclose(result.vectors, model.embed(paths), atol=1e-4)
    assert "no such file" in result.failures[0].reason
    assert "uint8" in result.failures[2].reason


def test_bad_image_raises_by_default(model: Model, paths: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.jpg: no such file"):
        model.embed([*paths, tmp_path / "none.jpg"])


def test_nothing_gives_no_rows(model: Model) -> None:
    assert model.embed([]).shape == (0, model.card.embedding_dim)
    assert model.embed_with_failures([42] * 5, batch_size=2).vectors.shape == (0, model.card.embedding_dim)


def test_wrong_arguments(model: Model) -> None:
    with pytest.raises(ConfigError, match="batch_size"):
        model.embed([], batch_size=0)
    with pytest.raises(ConfigError, match="dim is 3, but features are not ordered by importance"):
        model.embed([], dim=3)
    with pytest.raises(ConfigError, match=r"output is 'aligned'; .* has features"):
        model.embed([], output="aligned")


class SlowEngine:
    """An engine that waits, and says which images it saw."""

    name = "slow"
    device = "cpu"
    reads = "normalized"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.running = threading.Event()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.running.set()
        time.sleep(self.seconds)
        self.running.clear()
        return images.reshape(len(images), -1)[:, :4].copy()


def test_an_endless_iterator_is_read_as_it_is_needed() -> None:
    taken = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield np.full((8, 8, 3), taken % 256, np.uint8)

    stream = embed_stream(SlowEngine(0), Preprocess(resize_px=8, crop_px=8), endless(), dim=4, batch_size=4)
    first = next(stream)
    assert first.rows == [0, 1, 2, 3]
    assert taken <= 20
    stream.close()


def test_decoding_overlaps_inference() -> None:
    engine = SlowEngine(0.05)
    while_running = []

    def decode(source: int, min_px: int) -> DecodedImage:
        while_running.append(engine.running.is_set())
        time.sleep(0.005)
        return DecodedImage(Image.new("RGB", (8, 8)), facts=-source)

    batches = list(
        embed_stream(engine, Preprocess(resize_px=8, crop_px=8), range(40), dim=4, batch_size=4, decode=decode)
    )
    assert [row for batch in batches for row in batch.rows] == list(range(40))
    assert [fact for batch in batches for fact in batch.facts] == [-row for row in range(40)]
    assert sum(while_running) >= 20


class FaultyEngine(SlowEngine):
    """An engine whose vector of a gray image is not finite if the gray is 1 or 2, and zero if it is 3."""

    def __init__(self, lost: int = 0) -> None:
        super().__init__(0)
        self.lost = lost

    def __call__(self, images: np.ndarray) -> np.ndarray:
        gray = np.rint(images[:, 0, 0, 0] * 255)
        vectors = np.ones((len(images), 4), np.float32)
        vectors[gray == 1, 2] = np.nan
        vectors[gray == 2, 0] = -np.inf
        vectors[gray == 3] = 0
        return vectors[: len(vectors) - self.lost]


def gray_images(*values: int) -> list[np.ndarray]:
    return [np.full((8, 8, 3), value, np.uint8) for value in values]


PLAIN = Preprocess(resize_px=8, crop_px=8, mean=(0, 0, 0), std=(1, 1, 1))


def test_vectors_that_are_not_finite_or_zero_are_failures() -> None:
    images = [*gray_images(9, 1, 8, 2), "missing.jpg", *gray_images(3, 7)]
    embeddings = embed(FaultyEngine(), PLAIN, images, dim=4, skip=True, batch_size=3)
    assert embeddings.rows.tolist() == [0, 2, 6]
    assert np.isfinite(embeddings.vectors).all()
    assert [(each.row, each.stage) for each in embeddings.failures] == [
        (1, "embed"), (3, "embed"), (4, "open"), (5, "embed"),
    ]  # fmt: skip
    assert [each.reason for each in embeddings.failures if each.stage == "embed"] == [
        "the encoder's output is not finite", "the encoder's output is not finite", "the encoder's output is zero",
    ]  # fmt: skip
    with pytest.raises(ImageError, match="ndarray: the encoder's output is not finite"):
        embed(FaultyEngine(), PLAIN, images, dim=4, skip=False)
    as_they_are = embed(FaultyEngine(), PLAIN, gray_images(9, 3), dim=4, skip=True, normalize=False)
    assert as_they_are.rows.tolist() == [0, 1]


def test_an_engine_that_returns_another_shape() -> None:
    images = gray_images(4, 5, 6)
    with pytest.raises(CheckpointError, match=r"array of shape \(2, 4\) for 3 images; expected \(3, 4\)"):
        embed(FaultyEngine(lost=1), PLAIN, images, dim=4, skip=True)
    with pytest.raises(CheckpointError, match=r"array of shape \(3, 4\) for 3 images; expected \(3, 5\)"):
        embed(FaultyEngine(), PLAIN, images, dim=5, skip=True)
