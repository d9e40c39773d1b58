"""What is written down must not tell where things lay."""

from __future__ import annotations

from pathlib import Path

import pytest
from training.record import spec_name, training_record

from training.config import DataConfig, DistillConfig, RunConfig, StudentConfig, TeacherConfig


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("effnet-lite:0", "effnet-lite:0"),
        ("resnet18-imagenette-kd", "resnet18-imagenette-kd"),
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
