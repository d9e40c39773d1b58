from __future__ import annotations

import importlib
import logging

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, numpy_helper

from export.int8 import WEIGHT_BITS, Quantizer, calibrate
from mvmr_zoo.inference.engines import onnx_session

from .conftest import rows_cosine


@pytest.fixture(scope="module")
def quantizer(tiny_graph: ModelProto, noise: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Quantizer:
    return calibrate(tiny_graph, noise, tmp_path_factory.mktemp("int8"))


class Quantized:
    """Access to the layers of a quantized model."""

    def __init__(self, model: ModelProto) -> None:
        self.layers = {node.name: node for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")}
        self._made_by = {output: node for node in model.graph.node for output in node.output}
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}

    def weight(self, layer: str) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Return the stored weight, its scales and its zero points. A float weight has no scales or zero points."""
        name = self.layers[layer].input[1]
        if name in self._constants:
            return self._constants[name], None, None
        node = self._made_by[name]
        assert node.op_type == "DequantizeLinear"
        stored, scale, zero = (self._constants[each] for each in node.input)
        return stored, scale, zero

    def reads(self, layer: str) -> NodeProto | None:
        """Return the node that produces the input of a layer; None if the input is the images."""
        return self._made_by.get(self.layers[layer].input[0])

    def zero_point(self, node: NodeProto) -> np.ndarray:
        return self._constants[node.input[2]]


def answers(model: ModelProto, images: np.ndarray) -> np.ndarray:
    return onnx_session(model.SerializeToString()).run(["features"], {"images": images})[0]


def test_layers_are_convolutions_and_additions_in_graph_order(quantizer: Quantizer, tiny_graph: ModelProto) -> None:
    convolutions = [node.name for node in tiny_graph.graph.node if node.op_type == "Conv"]
    expected = tuple(node.name for node in tiny_graph.graph.node if node.op_type in ("Conv", "Add"))
    assert (len(convolutions), len(expected)) == (9, 12)  # three blocks
    assert quantizer.layers == expected
    assert quantizer.ends == {convolutions[0], convolutions[-1]}


def test_weights_are_int8_per_channel_and_activations_uint8(quantizer: Quantizer) -> None:
    quantized = Quantized(quantizer.quantized(quantizer.ends))
    assert WEIGHT_BITS == 7
    for layer in quantized.layers.keys() - quantizer.ends:
        stored, scale, zero = quantized.weight(layer)
        assert (stored.dtype, zero.dtype) == (np.int8, np.int8)
        assert np.abs(stored.astype(int)).max() == 64  # seven bits
        assert scale.shape == (len(stored),)
        assert len(np.unique(scale)) > 1
        assert not zero.any()
        reads = quantized.reads(layer)
        assert reads.op_type == "DequantizeLinear"
        assert quantized.zero_point(reads).dtype == np.uint8
        assert quantized.zero_point(reads).ndim == 0


def test_layers_in_float_are_unchanged(quantizer: Quantizer, tiny_graph: ModelProto) -> None:
    before, after = Quantized(tiny_graph), Quantized(quantizer.quantized(quantizer.ends))
    for layer in quantizer.ends:
        np.testing.assert_array_equal(after.weight(layer)[0], before.weight(layer)[0])
        assert after.weight(layer)[1] is None
    everything = quantizer.quantized(quantizer.layers)
    assert all(weight[1] is None for weight in map(Quantized(everything).weight, before.layers))


def test_additions_are_quantized_unless_in_float(quantizer: Quantizer, tiny_graph: ModelProto) -> None:
    (added,) = (node.name for node in tiny_graph.graph.node[:7] if node.op_type == "Add")

    def readers(in_float: set[str]) -> set[str]:
        nodes = quantizer.quantized(in_float).graph.node
        (given,) = (node.output[0] for node in nodes if node.name == added)
        return {node.op_type for node in nodes if given in node.input}

    assert readers(set()) == {"QuantizeLinear"}
    assert readers({added}) == {"Relu"}


def test_ranges_are_calibrated_once(quantizer: Quantizer, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("calibrated again")

    monkeypatch.setattr(importlib.import_module("onnxruntime.quantization.quantize"), "create_calibrator", never)
    one = quantizer.quantized(quantizer.ends)
    other = quantizer.quantized([])
    assert one.SerializeToString() != other.SerializeToString()
    assert quantizer.quantized(quantizer.ends).SerializeToString() == one.SerializeToString()


def test_error_decreases_with_more_layers_in_float(
    quantizer: Quantizer, tiny_graph: ModelProto, noise: np.ndarray
) -> None:
    expected = answers(tiny_graph, noise)

    def error(in_float: tuple[str, ...]) -> float:
        return float(np.square(answers(quantizer.quantized(in_float), noise) - expected).mean())

    none, half, every = error(()), error(quantizer.layers[:5]), error(quantizer.layers)
    assert none > half > every
    assert rows_cosine(answers(quantizer.quantized(()), noise), expected).min() > 0.98


def test_quantization_prints_nothing_and_restores_logging(
    quantizer: Quantizer, capfd: pytest.CaptureFixture[str]
) -> None:
    level = logging.root.level
    quantizer.quantized(())
    assert capfd.readouterr() == ("", "")
    assert logging.root.level == level
