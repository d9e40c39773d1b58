from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from export.half import MAX_MAGNITUDE, to_half
from mvmr_zoo.inference.engines import onnx_session

from .conftest import rows_cosine


def network(gain: float, *, ending: float = 1.0) -> ModelProto:
    """Return four convolutions: the second multiplies by `gain`, the third divides by it, the last by `ending`."""
    random = np.random.default_rng(0)
    model = parser.parse_model("""
        <ir_version: 10, opset_import: ["": 20]>
        encoder (float[batch, 3, height, width] images) => (float[batch, 8] features) {
            [first] a = Conv(images, first)
            [loud] b = Conv(a, loud)
            [quiet] c = Conv(b, quiet)
            [last] d = Conv(c, last)
            [pool] pooled = GlobalAveragePool(d)
            [flat] features = Flatten<axis=1>(pooled)
        }""")
    layers = (("first", 3, 1.0), ("loud", 8, gain), ("quiet", 8, 1 / gain), ("last", 8, ending))
    for name, inputs, scale in layers:
        weight = scale * random.standard_normal((8, inputs, 1, 1)) / np.sqrt(inputs)
        model.graph.initializer.append(numpy_helper.from_array(weight.astype(np.float32), name))
    onnx.checker.check_model(model, full_check=True)
    return model


def images() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((4, 3, 6, 6)).astype(np.float32)


def answers(model: ModelProto) -> np.ndarray:
    return onnx_session(model.SerializeToString()).run(["features"], {"images": images()})[0]


def half_weights(model: ModelProto) -> set[str]:
    return {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT16}


def test_all_layers_are_converted_if_values_are_small() -> None:
    model = network(1.0)
    half = to_half(model, [images()])
    assert half.in_float == []
    assert half_weights(half.model) == {"first", "loud", "quiet", "last"}
    np.testing.assert_allclose(answers(half.model), answers(model), atol=0.01)


def test_layers_that_would_overflow_remain_in_float() -> None:
    model = network(1e6)
    half = to_half(model, [images()])
    assert half.in_float == ["loud", "quiet"]  # the first one outputs the large values, the second one reads them
    assert half_weights(half.model) == {"first", "last"}
    for found in (answers(half.model), *ReferenceEvaluator(half.model).run(["features"], {"images": images()})):
        assert np.isfinite(found).all()
        assert rows_cosine(found, answers(model)).min() > 0.9999


def test_large_features_remain_in_float() -> None:
    model = network(1.0, ending=1e6)
    half = to_half(model, [images()])
    assert half.in_float == ["last", "pool", "flat"]
    assert rows_cosine(answers(half.model), answers(model)).min() > 0.9999


def test_outputs_are_wrong_without_the_overflow_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.half.MAX_MAGNITUDE", np.inf)
    model = network(1e6)
    half = to_half(model, [images()])
    assert half.in_float == []
    assert rows_cosine(answers(half.model), answers(model)).min() < 0.9


def test_all_photos_of_all_batches_count() -> None:
    model = network(1.0)
    loud = images()
    loud[3] *= 1e5
    assert to_half(model, [images(), loud[:2]]).in_float == []
    assert "first" in to_half(model, [images(), loud]).in_float


def test_threshold_is_a_quarter_of_the_fp16_range() -> None:
    assert MAX_MAGNITUDE == 65504 / 4
    model = network(1.0)
    peak = max(np.abs(onnx_session(part).run(None, {"images": images()})[0]).max() for part in parts(model))
    below, above = 0.999 * MAX_MAGNITUDE / peak, 1.001 * MAX_MAGNITUDE / peak
    assert to_half(model, [(below * images()).astype(np.float32)]).in_float == []
    assert to_half(model, [(above * images()).astype(np.float32)]).in_float != []


def parts(model: ModelProto) -> list[bytes]:
    """Return the model truncated after each layer."""
    models = []
    for node in model.graph.node:
        part = ModelProto.FromString(model.SerializeToString())
        part.graph.output[0].name = node.output[0]
        part.graph.output[0].type.tensor_type.ClearField("shape")
        models.append(part.SerializeToString())
    return models


def test_inputs_and_outputs_are_float32_and_the_encoder_is_not_modified() -> None:
    model = network(1e6)
    before = model.SerializeToString()
    half = to_half(model, [images()]).model
    assert model.SerializeToString() == before
    for value in (*half.graph.input, *half.graph.output):
        assert value.type.tensor_type.elem_type == TensorProto.FLOAT
    onnx.checker.check_model(half, full_check=True)


def test_layers_are_sorted_topologically(tiny_graph: ModelProto, noise: np.ndarray) -> None:
    half = to_half(tiny_graph, [noise]).model
    known = {tensor.name for tensor in half.graph.initializer} | {"images", ""}
    for node in half.graph.node:
        assert known.issuperset(node.input), node.name
        known.update(node.output)
