"""fp16: half the file, on GPUs twice the speed; what would overflow stays in fp32."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from mvmr_zoo.inference import onnx_session

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

LARGEST = float(np.finfo(np.float16).max) / 4
"""A layer that meets a larger number on the calibration photos stays in fp32; fp16 itself ends at 65504."""


class Half(NamedTuple):
    """A model in fp16.

    Args:
        model: its input and output stay float32.
        in_float: names of the layers that stay in fp32.
    """

    model: ModelProto
    in_float: list[str]


def to_half(encoder: ModelProto, batches: Iterable[NDArray[np.float32]]) -> Half:
    """An encoder in fp16.

    Args:
        encoder: in fp32, input `images`.
        batches: calibration images, `(N, 3, H, W)`.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    largest = _largest(encoder, batches)
    in_float = [
        node.name
        for node in encoder.graph.node
        if any(largest.get(name, 0.0) > LARGEST for name in (*node.input, *node.output))
    ]
    model = convert_float_to_float16(copy.deepcopy(encoder), keep_io_types=True, node_block_list=in_float)
    _keep_fp32_whole(model)
    OnnxModel(model).topological_sort()  # the converter appends its casts
    return Half(model, in_float)


def _keep_fp32_whole(model: ModelProto) -> None:
    """Undo the casts to fp16 and back between two layers in fp32: numbers too large for fp16 pass there."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        before = made_by.get(node.input[0]) if _casts_to(node, TensorProto.FLOAT) else None
        if before is not None and _casts_to(before, TensorProto.FLOAT16):
            node.op_type, node.input[0] = "Identity", before.input[0]
            node.ClearField("attribute")
    read = {name for node in model.graph.node for name in node.input} | {each.name for each in model.graph.output}
    kept = [node for node in model.graph.node if not node.op_type == "Cast" or node.output[0] in read]
    model.graph.ClearField("node")
    model.graph.node.extend(kept)


def _casts_to(node: NodeProto, element: int) -> bool:
    return node.op_type == "Cast" and node.attribute[0].i == element


def _largest(encoder: ModelProto, batches: Iterable[NDArray[np.float32]]) -> dict[str, float]:
    """The largest magnitude of every tensor, by name; infinity for what is not finite."""
    found = {tensor.name: _magnitude(numpy_helper.to_array(tensor)) for tensor in encoder.graph.initializer}
    probe = copy.deepcopy(encoder)
    del probe.graph.output[:]
    for node in probe.graph.node:
        probe.graph.output.extend(type(encoder.graph.output[0])(name=name) for name in node.output if name)
    session = onnx_session(probe.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    for batch in batches:
        for name, values in zip(names, session.run(names, {"images": batch}), strict=True):
            found[name] = max(found.get(name, 0.0), _magnitude(values))
    return found


def _magnitude(values: NDArray[np.generic]) -> float:
    if values.dtype != np.float32 or not values.size:
        return 0.0
    largest = float(np.abs(values).max())
    return largest if np.isfinite(largest) else np.inf
