from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from export.convert import Converted, convert, encoder_graph, finalize
from export.inputs import load_crops
from export.options import OPSETS
from export.photos import Photos, folder_photos
from mvmr_zoo import Model, ModelCard, __version__
from mvmr_zoo.architectures.encoder import Encoder
from mvmr_zoo.checkpoint import Head
from mvmr_zoo.images.preprocess import Preprocess
from mvmr_zoo.inference.engines import TorchEngine, onnx_session
from mvmr_zoo.models.exported import DTYPES, Signature

from ..conftest import shaken, shallow
from ..environment import ROOT
from ..exported_folders import ExportedFolders
from .conftest import rows_cosine, signature, tiny_encoder

PREPROCESS = Preprocess(resize_px=72, crop_px=64)
CLOSE = {"fp32": 0.999999, "fp16": 0.9999, "int8": 0.98}
SAME = {"fp32": 0.999999, "fp16": 0.9999, "int8": 0.97}
"""Minimum cosine similarity between two runtimes on the same file. They round differently, and int8 is coarse."""


@pytest.fixture(scope="module")
def photos(exports: ExportedFolders) -> Photos:
    """Eight calibration photos and eight measurement photos."""
    found = folder_photos(exports.photos)
    return Photos(found.source, found.root, found.calibration[:8], found.measured[:8])


def converted(encoder: ModelProto, wanted: Signature, photos: Photos) -> Converted:
    """Convert without a limit that int8 could miss."""
    with tempfile.TemporaryDirectory() as folder:
        return convert(encoder, wanted, photos, lambda _: 0.0, Path(folder))


def as_model(encoder: Encoder, preprocess: Preprocess) -> Model:
    card = ModelCard(
        name="shaken",
        summary="",
        architecture=encoder.architecture,
        embedding_dim=encoder.embedding_dim,
        preprocess=preprocess,
        license="apache-2.0",
        origin="random weights",
    )
    return Model("shaken", card, TorchEngine(encoder), "5e" * 32, lambda: encoder, class_names=("cat", "dog"))


@dataclass
class Backbone:
    """An encoder with random weights that is traced once."""

    architecture: str
    photos: Photos

    @cached_property
    def encoder(self) -> Encoder:
        encoder = Encoder(self.architecture)
        return shaken(shallow(encoder) if self.architecture == "resnet50" else encoder)

    @cached_property
    def graph(self) -> ModelProto:
        return encoder_graph(self.encoder, self.signature("fp32"))

    def signature(self, dtype: str) -> Signature:
        return signature(dtype=dtype, preprocess=PREPROCESS, embedding_dim=self.encoder.embedding_dim)

    def model(self, dtype: str) -> ModelProto:
        wanted = self.signature(dtype)
        done = converted(self.graph, wanted, self.photos)
        return finalize(done, wanted, None, as_model(self.encoder, PREPROCESS))


@pytest.fixture(scope="module", params=["resnet18-small", "resnet50"])
def backbone(request: pytest.FixtureRequest, photos: Photos) -> Backbone:
    return Backbone(request.param, photos)


def operators(model: ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node}


def answers(model: ModelProto, images: np.ndarray) -> np.ndarray:
    return onnx_session(model.SerializeToString()).run(["features"], {"images": images})[0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_two_runtimes_match_pytorch(backbone: Backbone, dtype: str) -> None:
    model = backbone.model(dtype)
    onnx.checker.check_model(model)
    assert "BatchNormalization" not in operators(model)
    assert not any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer)

    images = load_crops(backbone.signature(dtype), backbone.photos.measured)
    with torch.inference_mode():
        expected = backbone.encoder(torch.from_numpy(images)).numpy()
    found = answers(model, images)
    assert found.dtype == np.float32
    assert rows_cosine(found, expected).min() > CLOSE[dtype]
    if dtype == "fp32":
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())

    small = np.ascontiguousarray(images[:1, :, 16:48, 16:48])  # height and width are dynamic
    (other,) = ReferenceEvaluator(model).run(["features"], {"images": small})
    assert other.shape == (1, backbone.encoder.embedding_dim)
    assert rows_cosine(other, answers(model, small)).min() > SAME[dtype]


def test_export_is_deterministic_and_contains_no_paths(tiny_graph: ModelProto, photos: Photos, tmp_path: Path) -> None:
    again = encoder_graph(tiny_encoder(), signature())
    for dtype in ("fp32", "int8"):
        wanted = signature(dtype=dtype)
        files = []
        for number, graph in enumerate((tiny_graph, again)):
            (folder := tmp_path / f"{dtype}{number}").mkdir()
            done = convert(graph, wanted, photos, lambda _: 0.0, folder)
            model = finalize(done, wanted, None, as_model(tiny_encoder(), wanted.preprocess))
            files.append(model.SerializeToString(deterministic=True))
        assert files[0] == files[1]
        for path in (ROOT, tmp_path, photos.root, tempfile.gettempdir(), "site-packages", ".py"):
            assert str(path).encode() not in files[0]


@pytest.mark.parametrize("opset", OPSETS)
def test_every_opset_runs(opset: int, tiny_graph: ModelProto, photos: Photos) -> None:
    encoder = tiny_encoder()
    head = Head(np.eye(2, 64, dtype=np.float32), np.zeros(2, np.float32))
    graph = tiny_graph if opset == signature().opset else encoder_graph(encoder, signature(opset=opset))
    assert [each.version for each in graph.opset_import] == [opset]
    images = load_crops(signature(), photos.measured)
    with torch.inference_mode():
        expected = encoder(torch.from_numpy(images)).numpy()
    for dtype in ("fp32", "int8"):
        wanted = signature(dtype=dtype, opset=opset, head=True)
        model = finalize(converted(graph, wanted, photos), wanted, head, as_model(encoder, wanted.preprocess))
        assert {each.domain: each.version for each in model.opset_import}[""] == opset
        features, logits = onnx_session(model.SerializeToString()).run(None, {"images": images})
        assert rows_cosine(features, expected).min() > CLOSE[dtype]
        np.testing.assert_allclose(logits, features[:, :2], rtol=1e-5, atol=1e-5)


def test_metadata_of_the_onnx_file(tiny_graph: ModelProto) -> None:
    head = Head(np.eye(2, 64, dtype=np.float32), np.zeros(2, np.float32))
    wanted = signature(stage="normalize", head=True, size_px=32)
    model = finalize(Converted(tiny_graph), wanted, head, as_model(tiny_encoder(), wanted.preprocess))
    assert (model.producer_name, model.producer_version) == ("mvmr-zoo", __version__)
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    assert set(metadata) == {
        f"mvmr_zoo.{name}" for name in ("name", "license", "weights_sha256", "contract", "class_names", "versions")
    }
    assert metadata["mvmr_zoo.weights_sha256"] == "5e" * 32
    assert (metadata["mvmr_zoo.name"], metadata["mvmr_zoo.license"]) == ("shaken", "apache-2.0")
    assert Signature.from_dict(json.loads(metadata["mvmr_zoo.contract"])) == wanted
    assert json.loads(metadata["mvmr_zoo.class_names"]) == ["cat", "dog"]
    versions = json.loads(metadata["mvmr_zoo.versions"])
    assert set(versions) == {"torch", "onnx", "onnxscript", "onnxruntime"}
    assert versions["onnx"] == onnx.__version__


def test_class_names_are_stored_only_with_the_classifier(tiny_graph: ModelProto) -> None:
    wanted = signature()
    model = finalize(Converted(tiny_graph), wanted, None, as_model(tiny_encoder(), wanted.preprocess))
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    assert metadata["mvmr_zoo.class_names"] == "[]"


def test_fixed_batch_size_is_set_in_inputs_and_outputs(tiny_graph: ModelProto) -> None:
    wanted = signature(batch=3, unit_norm=True)
    before = tiny_graph.SerializeToString()
    model = finalize(Converted(tiny_graph), wanted, None, as_model(tiny_encoder(), wanted.preprocess))
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_value == 3
    assert answers(model, np.zeros((3, 3, 32, 32), np.float32)).shape == (3, 64)
    assert tiny_graph.SerializeToString() == before


def lopsided(encoder: ModelProto) -> tuple[ModelProto, list[str]]:
    """Scale one channel between two convolutions so that int8 cannot resolve the others. The function is unchanged."""
    model = ModelProto.FromString(encoder.SerializeToString())
    first, second = [node for node in model.graph.node if node.op_type == "Conv"][1:3]
    values = {tensor.name: numpy_helper.to_array(tensor).copy() for tensor in model.graph.initializer}
    values[first.input[1]][0] *= 1000
    values[first.input[2]][0] *= 1000
    values[second.input[1]][:, 0] /= 1000
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(values[tensor.name], tensor.name))
    return model, [first.name, second.name]


def test_int8_keeps_the_sensitive_layers_in_float(tiny_graph: ModelProto, photos: Photos, tmp_path: Path) -> None:
    model, sensitive_layers = lopsided(tiny_graph)
    images = load_crops(signature(), photos.measured)
    expected = answers(tiny_graph, images)
    np.testing.assert_allclose(answers(model, images), expected, atol=1e-4)
    errors: list[float] = []

    def margin(features: np.ndarray) -> float:
        errors.append(float(np.square(features - expected).mean()))
        return 0.1 * errors[0] - errors[-1]

    found = convert(model, signature(dtype="int8"), photos, margin, tmp_path)
    convolutions = [node.name for node in tiny_graph.graph.node if node.op_type == "Conv"]
    assert found.in_float == [convolutions[0], *sensitive_layers, convolutions[-1]]
    assert float(np.square(answers(found.model, images) - expected).mean()) <= 0.1 * errors[0]
    assert found.quantization == {
        "format": "QDQ, uint8 activations, int8 weights per channel",
        "calibration": "8 photos of photos",
        "percentile": 99.999,
        "weight_bits": 7,
        "layers": 12,
    }
