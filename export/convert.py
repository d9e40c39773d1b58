"""Convert a PyTorch encoder to a `model.onnx` of a given dtype."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import ModelProto

from export.half import to_half
from export.inputs import load_crops
from export.int8 import PERCENTILE, WEIGHT_BITS, Quantizer, calibrate
from export.layer_search import fewest_in_float
from export.stages import join_stages
from mvmr_zoo import __version__
from mvmr_zoo.inference import clear_notes, onnx_session, traced
from mvmr_zoo.models.exported import SIGNATURE_KEY, filled_batches

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from export.photos import Photos
    from mvmr_zoo import Model
    from mvmr_zoo.checkpoint import Head
    from mvmr_zoo.models.exported import Signature

_BATCH_SIZE = 16
_SENSITIVITY_IMAGES = 32

Margin = Callable[["NDArray[np.float32]"], float]
"""Maps features of the measured photos to their distance from the limits; negative if a limit is missed."""


@dataclass(frozen=True)
class Converted:
    """An encoder in the target dtype, with a float32 input `images` and a float32 output `features`.

    Args:
        model: ONNX graph.
        in_float: Names of the layers that remain in fp32.
        quantization: Quantization settings; None unless the dtype is int8.
    """

    model: ModelProto
    in_float: list[str] = field(default_factory=list)
    quantization: Mapping[str, Any] | None = None


def encoder_graph(encoder: nn.Module, signature: Signature) -> ModelProto:
    """Return the encoder in fp32 with folded batch norm. Equal weights give equal bytes.

    The tracer's metadata is removed because it contains local paths.
    """
    program = traced(
        encoder,
        size_px=signature.preprocess.crop_px,
        dynamic_size=signature.size_px is None,
        opset=signature.opset,
    )
    model = program.model_proto
    clear_notes(model)
    return model


def convert(encoder: ModelProto, signature: Signature, photos: Photos, margin: Margin, folder: Path) -> Converted:
    """Convert an encoder to the dtype of a signature.

    Args:
        encoder: Encoder in fp32.
        signature: Signature of the export.
        photos: Calibration photos. The int8 layer search also uses the measured photos.
        margin: Distance from the limits, for the int8 layer search.
        folder: Empty folder for temporary files.
    """
    if signature.dtype == "fp32":
        return Converted(encoder)
    calibration = load_crops(signature, photos.calibration)
    if signature.dtype == "fp16":
        half = to_half(encoder, (each for each, _ in filled_batches(calibration, _BATCH_SIZE)))
        return Converted(half.model, half.in_float)
    quantizer = calibrate(encoder, calibration, folder)
    measured = load_crops(signature, photos.measured)
    reference = _features(encoder, calibration[:_SENSITIVITY_IMAGES])

    def score(in_float: frozenset[str]) -> float:
        return margin(_features(quantizer.quantized(in_float), measured))

    def sensitivity(layer: str) -> float:
        others = frozenset(quantizer.layers) - {layer}
        features = _features(quantizer.quantized(others), calibration[:_SENSITIVITY_IMAGES])
        return float(np.square(features - reference).mean())

    choice = fewest_in_float(quantizer.layers, quantizer.ends, score=score, sensitivity=sensitivity, limit=0.0)
    return Converted(
        quantizer.quantized(choice.in_float),
        [layer for layer in quantizer.layers if layer in choice.in_float],
        _quantization_settings(quantizer, photos),
    )


def finalize(converted: Converted, signature: Signature, head: Head | None, model: Model) -> ModelProto:
    """Return the complete, validated `model.onnx` with preprocessing, classifier and metadata."""
    complete = join_stages(converted.model, signature, head)
    _rename_output(complete, signature.output)
    _rename_dimensions(complete, signature)
    complete.producer_name, complete.producer_version = "mvmr-zoo", __version__
    complete.graph.name = "encoder"
    facts = {
        "name": model.card.name,
        "license": model.card.license,
        "weights_sha256": model.weights_digest,
        "class_names": json.dumps(model.class_names if head is not None else []),
        "versions": json.dumps({name: version(name) for name in ("torch", "onnx", "onnxscript", "onnxruntime")}),
    }
    metadata = {f"mvmr_zoo.{name}": value for name, value in facts.items()}
    onnx.helper.set_model_props(complete, {SIGNATURE_KEY: signature.to_json(), **metadata})
    onnx.checker.check_model(complete, full_check=True)
    return complete


def _quantization_settings(quantizer: Quantizer, photos: Photos) -> dict[str, Any]:
    return {
        "format": "QDQ, uint8 activations, int8 weights per channel",
        "calibration": f"{len(photos.calibration)} {photos.source}",
        "percentile": PERCENTILE,
        "weight_bits": WEIGHT_BITS,
        "layers": len(quantizer.layers),
    }


def onnx_runner(model: ModelProto) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Return a function from images `(N, 3, H, W)` to features, which runs a converted encoder on the CPU."""
    session = onnx_session(model.SerializeToString())

    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        features: NDArray[np.float32] = session.run(["features"], {"images": images})[0]
        return features

    return run


def _features(model: ModelProto, images: NDArray[np.float32]) -> NDArray[np.float32]:
    run = onnx_runner(model)
    return np.concatenate([run(part)[:count] for part, count in filled_batches(images, _BATCH_SIZE)])


def _rename_output(model: ModelProto, output: str) -> None:
    """Rename the output `features` to `output`."""
    graph = model.graph
    for names in (each for node in graph.node for each in (node.input, node.output)):
        names[:] = [output if name == "features" else name for name in names]
    for value in graph.output:
        value.name = output if value.name == "features" else value.name


def _rename_dimensions(model: ModelProto, signature: Signature) -> None:
    """Replace the exporter's names of dynamic dimensions, and set the batch size if it is fixed."""
    if signature.stage == "full":
        return
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        for dim, name in zip(dims, ("batch", "channels", "height", "width"), strict=False):
            if dim.HasField("dim_param"):
                dim.dim_param = name
        if signature.batch is not None:
            dims[0].dim_value = signature.batch
