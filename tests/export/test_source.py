from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn

from export.source import check_size, read_source
from mvmr_zoo import Model
from mvmr_zoo.checkpoint import read_config
from mvmr_zoo.errors import CheckpointError, ConfigError, UnknownModelError
from mvmr_zoo.images.preprocess import Preprocess
from mvmr_zoo.models.loading import load

from ..exported_folders import ExportedFolders


@pytest.fixture
def model(exports: ExportedFolders) -> Model:
    return load(exports.spec, runtime="torch")


def test_checkpoint_is_loaded_in_pytorch(exports: ExportedFolders) -> None:
    source = read_source(exports.spec)
    assert source.model.engine.name == "torch"
    assert source.checkpoint == exports.checkpoint.folder.resolve()
    assert source.head.weight.shape == (5, 64)


def test_checkpoint_config_is_copied_unchanged(exports: ExportedFolders, tmp_path: Path) -> None:
    read_source(exports.spec).write_config(tmp_path)
    assert (tmp_path / "config.json").read_bytes() == (exports.checkpoint.folder / "config.json").read_bytes()


def test_config_is_written_for_an_external_encoder(model: Model, tmp_path: Path) -> None:
    source = dataclasses.replace(read_source(model.spec), checkpoint=None)
    source.write_config(tmp_path)
    config = read_config(tmp_path / "config.json")
    assert config.preprocess == model.preprocess
    assert (config.embedding_dim, config.architecture, config.license) == (64, "resnet8", "apache-2.0")


def test_missing_classifier_is_rejected(exports: ExportedFolders) -> None:
    source = read_source(exports.spec)
    bare = dataclasses.replace(source, model=dataclasses.replace(source.model, head=None))
    with pytest.raises(ConfigError, match="has no classifier for --head"):
        _ = bare.head


def test_non_finite_weights_are_rejected(exports: ExportedFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights of an external encoder are not checked when it is loaded."""

    def broken(spec: str, **options: object) -> Model:
        found = load(spec, **options)
        found.encoder.backbone.layer2[0].conv1.weight.data[0] = torch.inf
        return found

    monkeypatch.setattr("mvmr_zoo.load", broken)
    with pytest.raises(CheckpointError, match=r"backbone\.layer2\.0\.conv1\.weight contains NaN or infinite values"):
        read_source(exports.spec)


def test_models_without_pytorch_weights_are_rejected(exports: ExportedFolders) -> None:
    with pytest.raises(ConfigError, match="is an ONNX export"):
        read_source(str(exports("fp32")))
    with pytest.raises(UnknownModelError):
        read_source("nothing-of-this-name")


def with_network(model: Model, network: nn.Module) -> Model:
    return dataclasses.replace(model, build=lambda: network)


def test_check_size_of_a_network_with_a_fixed_size(model: Model) -> None:
    fixed = with_network(model, nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(4 * 32 * 32, 8)))
    check_size(fixed, Preprocess(resize_px=36, crop_px=32))
    with pytest.raises(ConfigError, match=r"^tiny cannot process images of 40 px: mat1 and mat2 ") as caught:
        check_size(fixed, Preprocess(resize_px=40, crop_px=40))
    assert "\n" not in str(caught.value)


def test_check_size_of_a_network_with_a_minimum_size(model: Model) -> None:
    shrinking = with_network(model, nn.Sequential(nn.Conv2d(3, 4, 7), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    check_size(shrinking, Preprocess(resize_px=7, crop_px=7))
    with pytest.raises(ConfigError, match="cannot process images of 6 px"):
        check_size(shrinking, Preprocess(resize_px=6, crop_px=6))


def test_error_without_a_message_is_reported_by_type(model: Model) -> None:
    class Silent(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise NotImplementedError

    with pytest.raises(ConfigError, match=r"of 32 px: NotImplementedError$"):
        check_size(with_network(model, Silent()), model.preprocess)
