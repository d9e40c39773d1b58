from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.errors import ConfigError
from training.config import StudentConfig
from training.student import make_encoder, make_projector, projector

from ..conftest import make_checkpoint


def test_a_projector_has_batch_norm_and_relu_between_its_layers() -> None:
    made = projector(8, (6, 4, 2))
    assert [type(layer).__name__ for layer in made] == [
        "Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d", "ReLU", "Linear",
    ]  # fmt: skip
    assert made(torch.randn(3, 8)).shape == (3, 2)
    assert all(layer.bias is None for layer in made if isinstance(layer, torch.nn.Linear))


def test_an_encoder_starts_from_a_checkpoint(checkpoint: Checkpoint) -> None:
    config = StudentConfig(architecture="resnet8x4", start_from=str(checkpoint.folder))
    encoder = make_encoder(config)
    assert encoder.training
    for name, tensor in checkpoint.weights().items():
        torch.testing.assert_close(encoder.state_dict()[name], torch.from_numpy(tensor).float(), msg=name)


def test_a_stored_projector_is_used_where_it_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(make_checkpoint(tmp_path / "start", projector=True).folder)
    made = make_projector(StudentConfig(architecture="resnet8x4", projector=(8,), start_from=folder), 256)
    assert torch.equal(made[0].weight, torch.ones(8, 256))
    assert capsys.readouterr().out == ""
    other = make_projector(StudentConfig(architecture="resnet8x4", projector=(7,), start_from=folder), 256)
    assert other[0].weight.shape == (7, 256)
    assert f"The projector stored with {folder} is not used: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"architecture": "resnet19"}, "resnet18"),
        ({"projector": ()}, r"student\.projector is \(\); expected at least one positive width"),
        ({"projector": (8, 0)}, r"student\.projector is \(8, 0\)"),
    ],
)
def test_students_that_cannot_be(options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        StudentConfig(**options)


def test_a_start_of_another_architecture_is_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(ConfigError, match="whose architecture is resnet8x4; expected resnet8"):
        make_encoder(StudentConfig(architecture="resnet8", start_from=str(checkpoint.folder)))
