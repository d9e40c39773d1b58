"""Whitened components of an encoder's features as a checkpoint folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import mvmr_zoo
from mvmr_zoo.checkpoint import read_base, read_checkpoint
from mvmr_zoo.errors import ConfigError
from training.whiten import app, whiten, whitened_components


@pytest.fixture
def features() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((200, 12)) @ rng.standard_normal((12, 12)) + 3).astype(np.float32)


def test_full_whitening_gives_every_component_the_same_mean_square(features: np.ndarray) -> None:
    outputs = features @ whitened_components(features, 5, 1).T
    np.testing.assert_allclose(outputs.T @ outputs / len(outputs), np.eye(5), atol=1e-4)


def test_no_whitening_keeps_inner_products(features: np.ndarray) -> None:
    outputs = features @ whitened_components(features, 12, 0).T
    np.testing.assert_allclose(outputs @ outputs.T, features @ features.T, rtol=1e-4)


def test_components_are_those_of_a_singular_value_decomposition(features: np.ndarray) -> None:
    _, scales, right = np.linalg.svd(features.astype(np.float64) / np.sqrt(len(features)), full_matrices=False)
    expected = (scales**-0.5)[:, None] * right
    found = whitened_components(features, 4, 0.5)
    np.testing.assert_allclose(np.abs(found), np.abs(expected[:4]), rtol=1e-6, atol=1e-9)


def test_the_folder_holds_the_weights_of_the_package_and_the_components(photos: Path, tmp_path: Path) -> None:
    words = ["effnet-lite:0", str(photos), "--output", str(tmp_path), "--name", "w", "--px", "64", "--dim", "8"]
    done = CliRunner().invoke(app, [*words, "--sample", "24", "--note", "Photos of noise."])
    assert done.exit_code == 0, done.output
    checkpoint = read_checkpoint(tmp_path / "w")
    assert checkpoint.config.base is not None
    assert (tmp_path / "w" / "delta.safetensors").stat().st_size < 1000  # nothing differs from the base
    weights = checkpoint.weights()
    for name, tensor in read_base("effnet-lite:0")[1].items():
        np.testing.assert_array_equal(weights[name], tensor, err_msg=name)
    model = mvmr_zoo.load(tmp_path / "w")
    assert (model.output, model.dim, model.preprocess.crop_px, model.card.license) == ("aligned", 8, 64, "apache-2.0")
    paths = sorted(photos.rglob("*.jpg"))
    raw = model.embed(paths, output="features", normalize=False)
    components = whitened_components(raw, 8, 0.5)
    cosines = np.corrcoef(model.embed(paths[:2])[0], components @ raw[0])
    assert model.embed(paths).shape == (len(paths), 8)
    assert np.isfinite(cosines).all()
    expected = raw @ components.T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(model.embed(paths) @ model.embed(paths).T, expected @ expected.T, atol=1e-3)
    page = (tmp_path / "w" / "README.md").read_text()
    assert "whitened principal components of the features, for retrieval" in page
    assert "Photos of noise." in page


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dim": 25}, "dim is 25; expected 1 to 24"),
        ({"dim": 0}, "dim is 0; expected 1 to 24"),
        ({"dim": 4, "whitening": 1.5}, "whitening is 1.5; expected an exponent"),
    ],
)
def test_values_out_of_range(photos: Path, tmp_path: Path, options: dict[str, float], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        whiten("effnet-lite:0", [str(photos)], tmp_path, name="w", px=64, **options)  # type: ignore[arg-type]
    assert not (tmp_path / "w").exists()


def test_encoders_without_a_base(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"timm:resnet18.*expected effnet-lite:0, 1 or 2"):
        whiten("timm:resnet18", [str(photos)], tmp_path, name="w", dim=4)
