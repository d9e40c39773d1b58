from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mvmr_zoo.checkpoint import Checkpoint, add_metrics, file_digest, golden_images, read_checkpoint
from mvmr_zoo.checkpoint.card import Figure
from mvmr_zoo.errors import CheckpointError
from mvmr_zoo.inference.engines import OnnxEngine
from mvmr_zoo.models.loading import load

from ...conftest import make_checkpoint


@pytest.fixture
def copy(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint.folder, tmp_path / "copy"))


def change(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, **fields}))


def replace_weights(folder: Path, tensors: dict[str, np.ndarray]) -> None:
    """Write other weights and update their hash."""
    save_file(tensors, folder / "model.safetensors")
    hashes = json.loads((folder / "config.json").read_text())["sha256"]
    change(folder, sha256={**hashes, "model.safetensors": file_digest(folder / "model.safetensors")})


def test_round_trip(checkpoint: Checkpoint) -> None:
    again = read_checkpoint(checkpoint.folder)
    assert again == checkpoint
    assert {path.name for path in checkpoint.folder.iterdir()} == {
        "config.json", "model.safetensors", "graph.onnx", "golden.safetensors", "README.md",
    }  # fmt: skip
    assert len(checkpoint.graph()) < 60_000
    assert all(tensor.dtype == np.float16 for tensor in checkpoint.weights().values())


def test_measured_figures_are_added(copy: Path) -> None:
    first = Figure(value=0.5, low=0.4, high=0.6, images=100, source="reports/a.json")
    add_metrics(read_checkpoint(copy), {"imagenette/knn-v1": first})
    add_metrics(read_checkpoint(copy), {"cifar10/knn-v1": Figure(value=0.25)})
    assert read_checkpoint(copy).config.metrics == {"imagenette/knn-v1": first, "cifar10/knn-v1": Figure(value=0.25)}
    assert "| imagenette/knn-v1 | 0.500 | 0.400 to 0.600 | 100 | reports/a.json |" in (copy / "README.md").read_text()


def test_a_bare_number_is_a_figure_too(copy: Path) -> None:
    change(copy, metrics={"imagenette/knn-v1": 0.5})
    assert read_checkpoint(copy).config.metrics == {"imagenette/knn-v1": Figure(value=0.5)}


def test_names_of_older_figures(copy: Path) -> None:
    change(copy, metrics={"imagenette/retrieval@1/recall@1": 0.5, "held_out/linear-sgd@1/top5": 0.25})
    first, second = "imagenette/retrieval-v1/recall@1", "held_out/linear-sgd-v1/top5"
    expected = {first: Figure(value=0.5), second: Figure(value=0.25)}
    assert read_checkpoint(copy).config.metrics == expected


def test_another_folder_is_never_replaced(checkpoint: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"dear")
    (tmp_path / "photos" / "config.json").write_text('{"model_type": "resnet"}')
    with pytest.raises(CheckpointError, match="It was not changed"):
        make_checkpoint(tmp_path / "photos")
    assert (tmp_path / "photos" / "a.jpg").read_bytes() == b"dear"


def test_golden_outputs_are_reproduced(checkpoint: Checkpoint) -> None:
    engine = OnnxEngine(checkpoint.graph(), checkpoint.weights())
    assert checkpoint.check_golden(engine) > 0.99999


def test_golden_images_do_not_change() -> None:
    images = golden_images(32)
    assert images.shape == (4, 3, 32, 32)
    np.testing.assert_allclose(images[1, 2, 5, :3], [1.3332, 1.8131, 1.9991], atol=1e-3)


def test_other_weights_fail_the_golden_check(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    replace_weights(copy, {name: (-w if "conv" in name else w) for name, w in weights.items()})
    changed = read_checkpoint(copy)
    with pytest.raises(CheckpointError, match=r"golden\.safetensors: features"):
        changed.check_golden(OnnxEngine(changed.graph(), changed.weights()))


@pytest.mark.parametrize("name", ["model.safetensors", "graph.onnx", "golden.safetensors"])
def test_an_altered_or_missing_file_is_named(copy: Path, name: str) -> None:
    path = copy / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=name):
        read_checkpoint(copy)
    path.unlink()
    with pytest.raises(CheckpointError, match=name):
        read_checkpoint(copy)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"schema_version": 2}, "schema_version is 2"),
        ({"embedding_dim": "many"}, "embedding_dim is str"),
        ({"embedding_dim": 500}, "expected features (4, 500)"),
        ({"sha256": {"model.safetensors": 1, "graph.onnx": "", "golden.safetensors": ""}}, "is not text"),
        ({"metrics": {"a/knn-v1": 2.0}}, "metrics: a/knn-v1: figure value is 2.0"),
        ({"metrics": {"a/knn-v1": {"worth": 1}}}, "metrics: a/knn-v1: figure is {'worth': 1}"),
        ({"metrics": {"a/knn-v1": {"value": 0.5, "low": "x"}}}, "figure low is 'x'"),
        ({"task": "sleeping"}, "task is 'sleeping'; expected one of pretraining"),
        ({"data": [1]}, "data has a value that is not text"),
        ({"scores": "argmax"}, "scores is 'argmax'"),
        ({"class_names": ["cat"]}, "class_names has 1 names, but there is no head.safetensors"),
        ({"embedding_dim": 100}, "has shapes {'features': (4, 256)}; expected features (4, 100)"),
        ({"preprocess": {"resize_px": 10**6, "crop_px": 10**6}}, "expected 1 <= crop_px <= resize_px <= 2048"),
        ({"preprocess": {"resize_px": 36, "crop_px": 32.9}}, "preprocess has a field of the wrong type"),
        ({"preprocess": {"resize_px": 36, "crop_px": 32, "std": [float("nan"), 1, 1]}}, "three finite numbers each"),
        ({"surprise": 1}, "the field surprise is unknown"),
        ({"preprocess": {"resize_px": 3}}, "the field 'crop_px' is missing from preprocess"),
        ({"sha256": {"../../etc/passwd": "0"}}, "sha256 lacks model.safetensors"),
    ],
)
def test_a_wrong_field_is_named(copy: Path, fields: dict[str, object], message: str) -> None:
    change(copy, **fields)
    with pytest.raises(CheckpointError, match=re.escape(message)):
        read_checkpoint(copy)


def test_a_hash_of_a_file_outside_the_folder_is_refused(copy: Path) -> None:
    hashes = json.loads((copy / "config.json").read_text())["sha256"]
    change(copy, sha256={**hashes, "../outside": "0"})
    with pytest.raises(CheckpointError, match=r"lists '\.\./outside'; expected only"):
        read_checkpoint(copy)


def test_a_missing_field_is_named(copy: Path) -> None:
    values = json.loads((copy / "config.json").read_text())
    del values["license"]
    (copy / "config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="the field license is missing"):
        read_checkpoint(copy)


def test_broken_json_and_no_config(copy: Path) -> None:
    (copy / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="JSON"):
        read_checkpoint(copy)
    (copy / "config.json").unlink()
    with pytest.raises(CheckpointError, match="not a checkpoint folder"):
        read_checkpoint(copy)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"embedding_dim": ' + "9" * 5000 + "}", "\xff", "[]", '{"license": "\\ud800"}']
)
def test_json_that_cannot_be_read(copy: Path, text: str) -> None:
    (copy / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(CheckpointError, match=r"config\.json: (cannot be read as JSON|expected a JSON object)"):
        read_checkpoint(copy)


def test_golden_outputs_of_another_shape(copy: Path) -> None:
    for rows in (0, 1, 3):
        save_file({"features": np.zeros((rows, 256), np.float32)}, copy / "golden.safetensors")
        hashes = json.loads((copy / "config.json").read_text())["sha256"]
        change(copy, sha256={**hashes, "golden.safetensors": file_digest(copy / "golden.safetensors")})
        with pytest.raises(CheckpointError, match=rf"golden\.safetensors has shapes .*\({rows}, 256\)"):
            read_checkpoint(copy)


def test_a_graph_of_another_encoder(copy: Path, tmp_path: Path) -> None:
    """The weights, names and hashes match, but the outputs of the graph differ."""
    other = make_checkpoint(tmp_path / "small", "resnet8")
    (copy / "graph.onnx").write_bytes(other.graph())
    hashes = json.loads((copy / "config.json").read_text())["sha256"]
    change(copy, sha256={**hashes, "graph.onnx": file_digest(copy / "graph.onnx")})
    with pytest.raises(CheckpointError, match=r"does not fit graph\.onnx: backbone\.bn1\.bias \(32,\)"):
        load(copy)
    replace_weights(copy, {name: np.asarray(tensor) for name, tensor in other.weights().items()})
    with pytest.raises(CheckpointError, match=r"graph\.onnx: features has shape .* but embedding_dim is 256"):
        load(copy)


def test_weights_that_are_not_finite(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    weights["backbone.conv1.weight"][0] = np.nan
    replace_weights(copy, weights)
    with pytest.raises(CheckpointError, match=r"backbone\.conv1\.weight contains NaN or infinite values"):
        load(copy)


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_weights_of_another_shape(copy: Path, runtime: str) -> None:
    weights = load_file(copy / "model.safetensors")
    weights["backbone.conv1.weight"] = weights["backbone.conv1.weight"][:, :2]
    replace_weights(copy, weights)
    with pytest.raises(CheckpointError, match=r"model\.safetensors.*backbone\.conv1\.weight.*32, 2, 3, 3") as caught:
        load(copy, runtime=runtime)
    assert "\n" not in str(caught.value)


def test_a_head_that_does_not_fit_is_named(copy: Path) -> None:
    assert read_checkpoint(copy).head is None
    save_file({"weight": np.zeros((2, 256), np.float32), "bias": np.zeros(2, np.float32)}, copy / "head.safetensors")
    hashes = json.loads((copy / "config.json").read_text())["sha256"]
    change(
        copy,
        sha256={**hashes, "head.safetensors": file_digest(copy / "head.safetensors")},
        class_names=["cat", "dog", "cow"],
    )
    with pytest.raises(CheckpointError, match=r"head\.safetensors has shapes .*expected weight \(3, 256\)"):
        read_checkpoint(copy)
    change(copy, class_names=["cat", "dog"])
    head = read_checkpoint(copy).head
    assert head is not None
    assert head.weight.shape == (2, 256)
