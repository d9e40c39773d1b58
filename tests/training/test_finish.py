"""The finished folder: it can be trained further, follows its teacher, and names no folder of this machine."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

import mvmr_zoo
from mvmr_zoo.checkpoint import Checkpoint, read_checkpoint
from mvmr_zoo.datasets import image_folder
from training.config import (
    DataConfig,
    DistillConfig,
    DistillLossConfig,
    FinetuneConfig,
    PretrainConfig,
    RunConfig,
    StudentConfig,
    TeacherConfig,
    ViewConfig,
)
from training.data import Draw, SizeStage, ViewDataset
from training.finish import _tensors, data_names, note, recipe, spec_name, task, training_record
from training.losses import DistillationLoss
from training.module import MVMRModule
from training.student import projector

from .small import NAME, OFF, QUIET, train


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("effnet-lite:0", "effnet-lite:0"),
        ("effnet-lite1-whitened", "effnet-lite1-whitened"),
        ("open_clip:ViT-B-16/laion400m_e32", "open_clip:ViT-B-16/laion400m_e32"),
        ("open_clip:ViT-B-16@/secret/clip.pt", "open_clip:ViT-B-16@clip.pt"),
        ("timm:resnet18.a1_in1k", "timm:resnet18.a1_in1k"),
        ("hf-hub:org/name@refs/pr/1", "hf-hub:org/name@refs/pr/1"),
        ("onnx:~/secret/t.onnx", "onnx:t.onnx"),
        ("local-dir:/home/me@work/teacher", "local-dir:teacher"),
        ("embeddings:/gone/secret/clip", "embeddings:clip"),
        ("/gone/secret/student", "student"),
    ],
)
def test_specs_lose_their_folders(spec: str, name: str) -> None:
    assert spec_name(spec) == name


@pytest.mark.parametrize(
    ("train", "shown"),
    [
        ("{}/secret/imagenette/train", "imagenette/train"),
        ("folder:{}/secret/imagenette/train", "imagenette/train"),
        ("parquet:{}/secret/cifar.parquet#fine_label", "cifar#fine_label"),
        ("stl10:train+unlabeled", "stl10:train+unlabeled"),
    ],
)
def test_no_folder_is_recorded(train: str, shown: str, tmp_path: Path) -> None:
    config = DistillConfig(
        data=DataConfig(train=train.format(tmp_path), root="/secret", cache="/secret"),
        run=RunConfig(output="/secret", name="x"),
        student=StudentConfig(start_from="/secret/start"),
        teacher=TeacherConfig(spec="onnx:/secret/t.onnx"),
    )
    record = training_record(config)
    assert record["data"]["train"] == shown
    assert "secret" not in str(record)


def test_several_sources_are_each_recorded_and_named(tmp_path: Path) -> None:
    sources = (f"{tmp_path}/imagenette/train", f"{tmp_path}/imagenette/extra", "stl10:unlabeled")
    config = PretrainConfig(data=DataConfig(train=sources), run=RunConfig(output="x", name="y"))
    assert training_record(config)["data"]["train"] == ["imagenette/train", "extra", "stl10:unlabeled"]
    assert data_names(config) == ("imagenette", "extra", "stl10")
    named = PretrainConfig(data=DataConfig(train=sources, name="photos"), run=RunConfig(output="x", name="y"))
    assert data_names(named) == ("photos",)


def test_the_card_says_how_it_was_trained() -> None:
    common = {"data": DataConfig(train="x"), "run": RunConfig(output="x", name="y", note="A note.", published="1 %")}
    distilled = DistillConfig(
        **common,
        teacher=TeacherConfig(spec="onnx:/secret/t.onnx", view="same", cached=False),
        loss=DistillLossConfig(invariance=0, variance=0, views=0, teacher=0, regression=1, similarity=2),
    )
    assert recipe(distilled) == (
        "Distilled from onnx:t.onnx, which saw the student's crops, by MV-MR. "
        "Terms of its loss: regression (weight 1), similarity (weight 2); distance correlation: not used."
    )
    assert note(distilled) == "A note. The paper reports 1 % for this recipe."
    pretrained = PretrainConfig(**common)
    assert "Trained without labels by MV-MR" in recipe(pretrained)
    assert "hog (weight 1)" in recipe(pretrained)
    assert recipe(pretrained).endswith("distance correlation: biased.")
    tuned = FinetuneConfig(**common, student=StudentConfig(start_from="x"), share=0.01)
    assert recipe(tuned) == "Fine-tuned with labels on 0.01 of each class's images."
    assert [task(each) for each in (pretrained, distilled, tuned)] == ["pretraining", "distillation", "semi-supervised"]


@pytest.fixture(scope="module")
def distilled(photos: Path, checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run by regression with a linear projector."""
    output = tmp_path_factory.mktemp("distilled")
    more = (f"--teacher.spec={checkpoint.folder}", *OFF, "--loss.regression=1", "--student.projector=[256]")
    assert train("distill", photos, output, *more, QUIET) == 0
    return output


def trained(output: Path, part: str) -> dict[str, torch.Tensor]:
    """The weights of a part of the module at the end, in full precision."""
    state = torch.load(output / "last.ckpt", weights_only=True)["state_dict"]
    return {name.removeprefix(f"{part}."): each for name, each in state.items() if name.startswith(f"{part}.")}


def test_aligned_vectors_have_the_inner_products_of_the_projectors_output(distilled: Path, photos: Path) -> None:
    files = sorted(photos.rglob("*.jpg"))
    features = mvmr_zoo.load(distilled / NAME, output="features").embed(files, normalize=False)
    aligned = mvmr_zoo.load(distilled / NAME, output="aligned").embed(files, normalize=False)
    projected = features.astype(np.float64) @ trained(distilled, "projector")["0.weight"].double().numpy().T
    expected = projected @ projected.T
    assert aligned.shape[1] == 64 < projected.shape[1]
    np.testing.assert_allclose(aligned @ aligned.T, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_teacher_vectors_come_into_the_aligned_space_with_their_mean(distilled: Path, checkpoint: Checkpoint) -> None:
    (cache,) = (distilled / "cache").iterdir()
    rows = np.load(cache / "rows.npy")
    alignment = read_checkpoint(distilled / NAME).alignment
    assert alignment is not None
    assert np.abs(alignment.mean - rows.mean(axis=0)).max() < 0.2 * np.abs(rows.mean(axis=0)).max()
    assert alignment.from_teacher(rows).shape == (24, 64)


def test_only_a_linear_projector_that_follows_the_teacher_is_an_alignment(
    photos: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    quiet = ("--optim.epochs=0.4", QUIET, f"--teacher.spec={checkpoint.folder}")
    deep = ("--loss.regression=1", "--student.projector=[32, 256]")
    assert train("distill", photos, tmp_path / "deep", *quiet, *deep) == 0
    assert train("distill", photos, tmp_path / "dependent", *quiet, "--student.projector=[256]") == 0
    for run in ("deep", "dependent"):
        assert read_checkpoint(tmp_path / run / NAME).alignment is None


@pytest.mark.parametrize("widths", [(32, 16), (256,)])
def test_a_finished_run_can_be_started_from(
    widths: tuple[int, ...], photos: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """Encoder and projector of the folder give the loss that those of the run gave, on the same batch."""
    more = (
        f"--teacher.spec={checkpoint.folder}",
        f"--student.projector={list(widths)}",
        QUIET,
    )
    assert train("distill", photos, tmp_path, *more) == 0
    dataset = ViewDataset(
        data=image_folder(photos),
        rows=np.arange(24),
        config=ViewConfig(sizes=(SizeStage(start=0.0, px=32),)),
        with_plain=True,
        targets={"teacher": np.random.default_rng(0).standard_normal((24, 8)).astype(np.float32)},
    )
    batch = default_collate([dataset[Draw(photo, 32, photo, 0)] for photo in range(24)])

    def loss(student: StudentConfig, state: dict[str, torch.Tensor] | None) -> dict[str, float]:
        run = RunConfig(output="unused", name="unused")
        config = DistillConfig(data=DataConfig(train="unused"), run=run, student=student, views=dataset.config)
        torch.manual_seed(1)
        module = MVMRModule(config, DistillationLoss(), {}, total_steps=1)
        if state is not None:
            module.load_state_dict(state)
        module._trainer = SimpleNamespace(world_size=1, global_step=0, global_rank=0)
        module.training_step(batch, 0)
        return {name: term.item() for name, term in module.record.loss.terms.items()}

    fresh = StudentConfig(architecture="resnet8", projector=widths)
    expected = loss(fresh, torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"])
    start = StudentConfig(architecture="resnet8", projector=widths, start_from=str(tmp_path / NAME))
    found, other = loss(start, None), loss(fresh, None)
    assert found == pytest.approx(expected, rel=1e-2)
    assert any(abs(other[name] / expected[name] - 1) > 0.05 for name in expected)


def test_the_folder_holds_the_configuration_as_json(distilled: Path, photos: Path, checkpoint: Checkpoint) -> None:
    folder = distilled / NAME
    config = json.loads((folder / "config.json").read_text())
    assert config["training"]["views"]["sizes"] == [{"start": 0.0, "px": 32}]
    assert config["training"]["run"]["save_every_minutes"] == 10
    assert config["license"] == "not stated"
    written = (folder / "config.json").read_text() + (folder / "README.md").read_text()
    assert str(photos.parent) not in written
    assert str(checkpoint.folder) not in written


def test_statistics_that_half_precision_cannot_hold_stay_finite() -> None:
    made = projector(4, (4, 4))
    norm = made[1]
    assert isinstance(norm, torch.nn.BatchNorm1d)
    assert norm.running_var is not None
    norm.running_var.fill_(1e5)
    kept = _tensors(made)
    assert kept["0.weight"].dtype == torch.float16
    assert kept["1.running_var"].tolist() == [1e5] * 4
