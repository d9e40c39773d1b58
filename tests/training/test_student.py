from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mvmr_zoo.checkpoint import Checkpoint, read_base, read_checkpoint
from mvmr_zoo.errors import ConfigError
from training.config import StudentConfig
from training.student import RIDGE, base_spec, make_encoder, make_projector, projector, ridge_regression

from ..conftest import make_checkpoint
from .small import NAME, OFF, QUIET, logged, train, weights


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
        ({"freeze_batch_norm": True}, r"student\.freeze_batch_norm is True; expected false, or a value of student\."),
        (
            {"fit_projector": True},
            r"student\.fit_projector is True; expected false, or one width in student\.projector",
        ),
    ],
)
def test_students_that_cannot_be(options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        StudentConfig(**options)


def test_a_start_of_another_architecture_is_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(ConfigError, match="whose architecture is resnet8x4; expected resnet8"):
        make_encoder(StudentConfig(architecture="resnet8", start_from=str(checkpoint.folder)))


def test_a_student_of_a_package_starts_from_its_weights_and_is_stored_as_the_difference(
    photos: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    spec = "effnet-lite:0"
    expected = read_base(spec)[1]
    encoder = make_encoder(StudentConfig(architecture=spec, start_from=spec))
    for name, tensor in encoder.weights().items():
        np.testing.assert_array_equal(tensor.numpy(), expected[name])
    more = (f"--student.architecture={spec}", f"--student.start_from={spec}", "--optim.epochs=0.4", QUIET)
    assert train("distill", photos, tmp_path / "first", f"--teacher.spec={checkpoint.folder}", *more) == 0
    found = read_checkpoint(tmp_path / "first" / NAME)
    assert found.config.base is not None
    assert found.config.base.spec == spec
    again = StudentConfig(architecture=spec, start_from=str(found.folder))
    assert base_spec(again) == spec
    stored = found.weights()
    for name, tensor in make_encoder(again).weights().items():
        np.testing.assert_array_equal(tensor.numpy(), stored[name])
    assert base_spec(StudentConfig(architecture=spec)) is None
    assert base_spec(StudentConfig(architecture="resnet8x4", start_from=str(checkpoint.folder))) is None


def test_frozen_batch_norm_keeps_its_statistics_and_trains_its_scales(
    photos: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    start = make_checkpoint(tmp_path / "start", architecture="resnet8")
    before = dict(start.weights())
    more = (f"--teacher.spec={checkpoint.folder}", f"--student.start_from={start.folder}", QUIET)
    assert train("distill", photos, tmp_path / "free", *more) == 0
    assert train("distill", photos, tmp_path / "frozen", *more, "--student.freeze_batch_norm=true") == 0
    free, frozen = weights(tmp_path / "free"), weights(tmp_path / "frozen")
    statistics = [name for name in before if name.endswith(("running_mean", "running_var"))]
    scales = [name.replace("running_mean", "weight") for name in statistics if name.endswith("running_mean")]
    assert statistics
    for name in statistics:
        np.testing.assert_array_equal(frozen[name], before[name], err_msg=name)
        assert not np.array_equal(free[name], before[name]), name
    for name in scales:
        assert not np.array_equal(frozen[name], before[name]), name


def test_ridge_regression_agrees_with_scikit_learn() -> None:
    from sklearn.linear_model import Ridge

    generator = torch.Generator().manual_seed(0)
    features = torch.randn(200, 6, generator=generator) + 1
    targets = torch.randn(200, 3, generator=generator)
    alpha = RIDGE * 200 * features.var(dim=0, correction=0).mean().item()
    expected = Ridge(alpha=alpha, fit_intercept=False).fit(features.numpy(), targets.numpy()).coef_
    np.testing.assert_allclose(ridge_regression(features, targets).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_fitted_projector_starts_nearer_to_the_teacher(photos: Path, checkpoint: Checkpoint, tmp_path: Path) -> None:
    more = (f"--teacher.spec={checkpoint.folder}", "--student.projector=[256]", *OFF, QUIET)
    more = (*more, "--loss.teacher=0", "--loss.regression=1")
    assert train("distill", photos, tmp_path / "random", *more) == 0
    assert train("distill", photos, tmp_path / "fitted", *more, "--student.fit_projector=true") == 0
    first = [float(logged(tmp_path / name)[0]["loss/regression"]) for name in ("random", "fitted")]
    assert first[1] < first[0]
