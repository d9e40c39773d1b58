"""Writing an encoder's ONNX graph without its weights (needs PyTorch).

The graph only names its weights. `OnnxEngine` supplies them from `model.safetensors`, so that both engines use
the same file.
"""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

import torch
from torch import nn

from mvmr_zoo.checkpoint import ALIGNED_MATRIX, ALIGNMENT_FILE, WEIGHTS_FILE
from mvmr_zoo.errors import MissingDependencyError

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

OPSET = 20


def weightless_graph(encoder: nn.Module, *, size_px: int, dynamic_size: bool | None = None) -> bytes:
    """The serialized ONNX graph: input `images` `(N, 3, H, W)`, output `features` `(N, D)`, both float32.

    Every floating-point tensor of the state dict that the graph reads becomes an external initializer of the
    same name. Batch norm stays a separate node, which ONNX Runtime folds when it loads the graph.

    Args:
        encoder: A module in evaluation mode, on the CPU.
        size_px: Side of the example image.
        dynamic_size: Leave H and W open as well as N. None does so if the network allows it. Vision transformers do
            not, because their position embeddings are for one size.
    """
    try:
        program = traced(encoder, size_px=size_px, dynamic_size=dynamic_size is not False, fold=False)
    except torch.onnx.OnnxExporterError:
        if dynamic_size is not None:
            raise
        return weightless_graph(encoder, size_px=size_px, dynamic_size=False)
    from onnxscript import optimizer

    weights = {name for name, tensor in encoder.state_dict().items() if tensor.is_floating_point()}
    # A folded weight would become a constant in the graph.
    optimizer.fold_constants(
        program.model,
        should_fold=lambda node: False if any(value and value.name in weights for value in node.inputs) else None,
    )
    optimizer.remove_unused_nodes(program.model)
    model = program.model_proto
    clear_notes(model)
    _drop_zero_biases(model, weights)
    _name_weights(model, weights)
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def with_alignment(graph: bytes, shape: tuple[int, int]) -> bytes:
    """A graph of `weightless_graph` with the second output `aligned` `(N, A)`: its features times an external `matrix`.

    Args:
        graph: The serialized graph.
        shape: Shape `(A, D)` of the matrix.
    """
    from onnx import ModelProto, TensorProto, helper

    model = ModelProto.FromString(graph)
    matrix = model.graph.initializer.add(name=ALIGNED_MATRIX, data_type=TensorProto.FLOAT, dims=shape)
    _leave_outside(matrix, ALIGNMENT_FILE)
    model.graph.node.append(helper.make_node("Gemm", ["features", ALIGNED_MATRIX], ["aligned"], transB=1))
    batch = model.graph.output[0].type.tensor_type.shape.dim[0]
    model.graph.output.append(helper.make_tensor_value_info("aligned", TensorProto.FLOAT, [batch.dim_param, shape[0]]))
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def with_prefix(graph: bytes, prefix: str) -> bytes:
    """A graph of `weightless_graph` in which the name of every weight begins with `prefix`."""
    from onnx import ModelProto, TensorProto

    model = ModelProto.FromString(graph)
    weights = [each for each in model.graph.initializer if each.data_location == TensorProto.EXTERNAL]
    names = {each.name: prefix + each.name for each in weights}
    for each in weights:
        each.name = names[each.name]
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def traced(
    encoder: nn.Module,
    *,
    size_px: int,
    dynamic_size: bool = True,
    opset: int = OPSET,
    fold: bool = True,
) -> torch.onnx.ONNXProgram:
    """Export an encoder with torch.onnx: input `images`, output `features`, N dynamic.

    Args:
        encoder: A module in evaluation mode, on the CPU.
        size_px: Side of the example image.
        dynamic_size: Make H and W dynamic.
        opset: ONNX operator set version.
        fold: Let the exporter fold batch norm and constants into the weights.
    """
    try:
        import onnx  # noqa: F401  (torch.onnx needs both, but its error is less clear)
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("onnx with onnxscript", "cpu", "write an ONNX graph") from error
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    open_ = torch.export.Dim.DYNAMIC
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecation warnings inside the exporter
        program = torch.onnx.export(
            encoder,
            (torch.zeros(2, 3, size_px, size_px),),
            dynamo=True,
            dynamic_shapes=({0: open_, 2: open_, 3: open_} if dynamic_size else {0: open_},),
            input_names=["images"],
            output_names=["features"],
            opset_version=opset,
            optimize=fold,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return program


def clear_notes(model: ModelProto) -> None:
    """Remove metadata of the exporter: paths, stack traces, shapes of intermediate values."""
    graph = model.graph
    for node in graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for tensor in graph.initializer:
        tensor.ClearField("metadata_props")
    graph.ClearField("value_info")
    graph.ClearField("metadata_props")
    model.ClearField("metadata_props")


def external_names(graph: bytes) -> set[str]:
    """Names of the external initializers of a serialized graph."""
    from onnx import ModelProto, TensorProto

    initializers = ModelProto.FromString(graph).graph.initializer
    return {tensor.name for tensor in initializers if tensor.data_location == TensorProto.EXTERNAL}


def _drop_zero_biases(model: ModelProto, names: set[str]) -> None:
    """Drop the zero biases that the exporter adds to convolutions without a bias: more than half of a small graph.

    Args:
        model: The graph. Its weights must not be references yet.
        names: The network's own weights, which are kept even if they are zero.
    """
    from onnx import numpy_helper

    values = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name not in names}
    for node in model.graph.node:
        if node.op_type == "Conv" and len(node.input) == 3 and node.input[2] in values:
            bias = numpy_helper.to_array(values[node.input[2]])
            if bias.size and not bias.any():
                del node.input[2]


def _name_weights(model: ModelProto, names: set[str]) -> None:
    """Turn the named initializers into references, and drop those that nothing reads."""
    graph = model.graph
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    graph.ClearField("initializer")
    for tensor in kept:
        if tensor.name in names:
            tensor.ClearField("raw_data")
            _leave_outside(tensor, WEIGHTS_FILE)
        graph.initializer.append(tensor)


def _leave_outside(tensor: TensorProto, file: str) -> None:
    """Make an initializer refer to the tensor of the same name in a safetensors file."""
    from onnx import TensorProto

    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=file)
