from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import mvmr_zoo
from mvmr_zoo import ConfigError, ImageError, Model
from mvmr_zoo.checkpoint import Checkpoint


@pytest.fixture(scope="module")
def model(checkpoint: Checkpoint) -> Model:
    return mvmr_zoo.load(checkpoint.folder)


@pytest.fixture
def image() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 52, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_bytes_and_open_files_are_images(model: Model, image: Image.Image, tmp_path: Path) -> None:
    expected = model.embed(image)
    (tmp_path / "a.png").write_bytes(encoded(image))
    np.testing.assert_array_equal(model.embed(encoded(image)), expected)
    np.testing.assert_array_equal(model.embed(io.BytesIO(encoded(image))), expected)
    with (tmp_path / "a.png").open("rb") as file:
        np.testing.assert_array_equal(model.embed([file]), expected)
    with (tmp_path / "a.png").open("rb") as file:
        file.read()
        with pytest.raises(ImageError, match=r"a\.png: the file is empty"):
            model.embed(file)


def test_arrays_with_transparency_or_floats_are_images(model: Model, image: Image.Image) -> None:
    expected, pixels = model.embed(image), np.asarray(image)
    opaque = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    for same in (opaque, pixels / 255, pixels.astype(np.float32) / 255, opaque / 255):
        np.testing.assert_array_equal(model.embed(same), expected)
    gray = np.asarray(image.convert("L"))
    np.testing.assert_array_equal(model.embed(gray), model.embed(image.convert("L")))
    np.testing.assert_array_equal(model.embed(np.stack([pixels, pixels]))[1:], expected)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((4, 4, 3), np.int64), np.zeros((4, 4, 2), np.uint8), np.full((4, 4, 3), 9.0), np.full((4, 4), np.nan)],
)
def test_arrays_that_are_no_images(model: Model, wrong: np.ndarray) -> None:
    with pytest.raises(ImageError, match="expected"):
        model.embed(wrong)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "LA", "1"])
def test_preprocess_gives_what_embed_gives_the_encoder(model: Model, image: Image.Image, mode: str) -> None:
    image = image.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", exif=exif)
    with Image.open(buffer) as turned:
        batch = model.preprocess(turned, return_tensors="pt")[None]
        assert torch.equal(batch[0], torch.from_numpy(model.preprocess(turned)))
        with torch.inference_mode():
            features = torch.nn.functional.normalize(model.encoder(batch.to(model.device)), dim=1)
        np.testing.assert_allclose(features.cpu().numpy(), model.embed(turned), atol=1e-5)
    with pytest.raises(ConfigError, match="return_tensors is 'tf'"):
        model.preprocess(image, return_tensors="tf")  # type: ignore[call-overload]


def test_a_model_prints_in_one_line(model: Model) -> None:
    assert repr(model).startswith("Model('")
    assert len(repr(model)) < 200
    assert "\n" not in repr(model)


def test_progress_changes_no_vector(model: Model, image: Image.Image) -> None:
    np.testing.assert_array_equal(model.embed([image] * 3, progress=True), model.embed([image] * 3))


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
@pytest.mark.parametrize("loaded", ["features", "aligned"])
def test_an_output_can_be_chosen_for_each_call(
    aligned_checkpoint: Checkpoint, image: Image.Image, runtime: str, loaded: str
) -> None:
    folder = aligned_checkpoint.folder
    model = mvmr_zoo.load(folder, output=loaded, runtime=runtime)
    for output, dim in (("features", None), ("aligned", None), ("aligned", 2)):
        expected = mvmr_zoo.load(folder, output=output, dim=dim, runtime=runtime)
        found = model.embed(image, output=output, dim=dim)
        np.testing.assert_allclose(found, expected.embed(image), atol=1e-5)
        assert model.with_output(output, dim).vectors_digest == expected.vectors_digest
    with pytest.raises(ConfigError, match="dim is 4000; expected 1 to"):
        model.embed(image, output="aligned", dim=4000)


def test_fewer_dimensions_of_a_shortened_output(aligned_checkpoint: Checkpoint, image: Image.Image) -> None:
    short = mvmr_zoo.load(aligned_checkpoint.folder, output="aligned", dim=3)
    expected = mvmr_zoo.load(aligned_checkpoint.folder, output="aligned", dim=2)
    np.testing.assert_allclose(short.embed(image, output="aligned", dim=2), expected.embed(image), atol=1e-5)
