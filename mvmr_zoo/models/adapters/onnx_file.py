"""Encoders in ONNX files: `onnx:FILE`. PyTorch is not needed.

The preprocessing of `NAME.onnx` is read from a JSON file next to it, `NAME.preprocess.json`, with the fields of
`Preprocess`. Without this file, the preprocessing of ImageNet is used.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mvmr_zoo._io import read_json_object
from mvmr_zoo.checkpoint import LICENSE_NOT_STATED, ModelCard
from mvmr_zoo.errors import CheckpointError, ConfigError, MissingDependencyError, UnknownModelError, one_line
from mvmr_zoo.images import Preprocess
from mvmr_zoo.models.adapters.record import ExternalEncoder

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

DEFAULT_PX = 224


def load(name: str, *, weights: bool = True) -> ExternalEncoder:
    """Load the encoder in an ONNX file.

    The file must have one input `(N, 3, H, W)` float32. Its first output must be `(N, D)` or `(N, D, 1, 1)` float32.

    Args:
        name: Path of the file.
        weights: Has no effect, because the file contains its weights.

    Raises:
        UnknownModelError: The file does not exist.
        CheckpointError: The file is not an ONNX file, or has other inputs or outputs.
        MissingDependencyError: onnx is not installed.
    """
    try:
        import onnx
        from onnx import helper
    except ImportError as error:
        raise MissingDependencyError("onnx", "cpu", f"load onnx:{name}") from error
    path = Path(os.path.expanduser(name))
    if not path.is_file():
        raise UnknownModelError(f"{path} is not a file. Expected an ONNX encoder.")
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf and onnx raise many types of errors for damaged files
        raise CheckpointError(f"{path} is not a valid ONNX file: {one_line(error)}") from None
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in stored]
    shape = _shape(inputs[0]) if len(inputs) == 1 else []
    values = (*inputs, model.graph.output[0])
    floats = all(value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT for value in values)
    if len(shape) != 4 or shape[1] not in (3, None) or shape[2] != shape[3] or not floats:
        raise CheckpointError(
            f"{path} has the inputs {[_shape(value) for value in inputs]}; expected one input (N, 3, H, W) with H = W, "
            "and float32 for the input and the output."
        )
    if shape[0] is not None:
        raise CheckpointError(f"{path} accepts only batches of {shape[0]}. Export it with a dynamic batch dimension.")
    output = _shape(model.graph.output[0])
    dim = output[1] if len(output) in (2, 4) and set(output[2:]) <= {1} else None
    if dim is None:
        raise CheckpointError(f"{path} has the output {output}; expected (N, D) or (N, D, 1, 1) with a fixed D.")
    preprocess, source = _preprocess(path, shape[2])
    for reserved in ("images", "features"):
        _rename(model, reserved, f"{reserved}_inside")
    _rename(model, inputs[0].name, "images")
    if len(output) == 4:
        flat = helper.make_node("Flatten", [model.graph.output[0].name], ["features"], axis=1)
        model.graph.node.append(flat)
        del model.graph.output[:]
        model.graph.output.append(helper.make_tensor_value_info("features", 1, ["N", dim]))
    else:
        _rename(model, model.graph.output[0].name, "features")
    return ExternalEncoder(
        card=ModelCard(
            name=f"onnx:{path.name}",
            summary=f"ONNX file {path.name}, {source}",
            architecture="onnx",
            embedding_dim=dim,
            preprocess=preprocess,
            license=LICENSE_NOT_STATED,
            origin=path.name,
            parameters=sum(math.prod(tensor.dims) for tensor in model.graph.initializer if _is_float(tensor)),
        ),
        graph=model.SerializeToString(deterministic=True),
    )


def count_macs(graph: bytes, px: int) -> int:
    """Multiply-accumulates of the convolutions and matrix products of a graph for one image of side `px`.

    Args:
        graph: A serialized ONNX graph with one input `images` `(N, 3, H, W)`.
        px: Side of the image.

    Returns:
        The number, or 0 if the shapes inside the graph cannot be inferred.
    """
    import onnx
    from onnx import helper, shape_inference

    model = onnx.load_from_string(graph)
    known = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    (images,) = (value for value in model.graph.input if value.name not in known)
    images.CopyFrom(helper.make_tensor_value_info(images.name, onnx.TensorProto.FLOAT, [1, 3, px, px]))
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        inferred = shape_inference.infer_shapes(model, data_prop=True).graph
    except shape_inference.InferenceError:
        return 0
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    shapes = {value.name: [size or 0 for size in _shape(value)] for value in values} | known
    total = 0
    for node in inferred.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        first, second, result = (shapes.get(name) for name in (*node.input[:2], node.output[0]))
        if not first or not second or not result or 0 in (*first, *second, *result):  # a size is unknown
            return 0
        if node.op_type == "Conv":
            terms = second[1:]  # (O, C / groups, kernel height, kernel width)
        elif node.op_type == "Gemm":
            transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
            terms = second[1:] if transposed else second[:1]
        else:
            terms = first[-1:]
        total += math.prod((*result, *terms))
    return total


def _preprocess(path: Path, px: int | None) -> tuple[Preprocess, str]:
    """The preprocessing from the JSON file next to the model, or that of ImageNet, and a description of its source."""
    file = path.with_suffix(".preprocess.json")
    if file.is_file():
        try:
            return Preprocess.from_dict(read_json_object(file)), f"preprocessing of {file.name}"
        except (ValueError, ConfigError) as error:
            raise CheckpointError(f"{file}: {error}") from None
    crop_px = px or DEFAULT_PX
    return Preprocess(resize_px=crop_px * 8 // 7, crop_px=crop_px), "preprocessing of ImageNet"


def _is_float(tensor: TensorProto) -> bool:
    return tensor.data_type in (tensor.FLOAT, tensor.FLOAT16, tensor.DOUBLE)


def _shape(value: object) -> list[int | None]:
    dims = value.type.tensor_type.shape.dim  # type: ignore[attr-defined]
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in dims]


def _rename(model: ModelProto, old: str, new: str) -> None:
    """Rename a tensor everywhere in the graph."""
    for node in model.graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name == old:
                    names[i] = new
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer, *model.graph.value_info):
        if value.name == old:
            value.name = new
