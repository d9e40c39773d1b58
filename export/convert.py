"""From a PyTorch encoder to a `model.onnx` in the dtype asked for."""

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
from export.inputs import crops
from export.int8 import PERCENTILE, WEIGHT_BITS, Quantizer, calibrated
from export.search import fewest_in_float
from export.stages import joined
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

_AT_ONCE = 16
_HARM_IMAGES = 32

Margin = Callable[["NDArray[np.float32]"], float]
"""Features of the measured photos to how far they keep the limits; negative where they miss one."""


@dataclass(frozen=True)
class Converted:
    """An encoder in a dtype: `images` to `features`, both float32.

    Args:
        model: the graph.
        in_float: layers left in fp32 on purpose.
        quantization: how int8 was calibrated; None otherwise.
    """

    model: ModelProto
    in_float: list[str] = field(default_factory=list)
    quantization: Mapping[str, Any] | None = None


def encoder_graph(encoder: nn.Module, contract: Signature) -> ModelProto:
    """The encoder in fp32, batch norm folded, without notes: the same bytes for the same weights."""
    program = traced(
        encoder,
        size_px=contract.preprocess.crop_px,
        dynamic_size=contract.size_px is None,
        opset=contract.opset,
    )
    model = program.model_proto
    clear_notes(model)
    return model


def convert(encoder: ModelProto, contract: Signature, photos: Photos, margin: Margin, folder: Path) -> Converted:
    """The encoder in the contract's dtype.

    Args:
        encoder: in fp32.
        contract: what is asked for.
        photos: to calibrate with; int8's search also looks at the measured ones.
        margin: says whether int8 keeps its limits.
        folder: an empty one for files that nobody needs afterwards.
    """
    if contract.dtype == "fp32":
        return Converted(encoder)
    calibration = crops(contract, photos.calibration)
    if contract.dtype == "fp16":
        half = to_half(encoder, (each for each, _ in filled_batches(calibration, _AT_ONCE)))
        return Converted(half.model, half.in_float)
    quantizer = calibrated(encoder, calibration, folder)
    measured = crops(contract, photos.measured)
    reference = _features(encoder, calibration[:_HARM_IMAGES])

    def score(in_float: frozenset[str]) -> float:
        return margin(_features(quantizer.quantized(in_float), measured))

    def harm(layer: str) -> float:
        others = frozenset(quantizer.layers) - {layer}
        found = _features(quantizer.quantized(others), calibration[:_HARM_IMAGES])
        return float(np.square(found - reference).mean())

    found = fewest_in_float(quantizer.layers, quantizer.ends, score=score, harm=harm, limit=0.0)
    return Converted(
        quantizer.quantized(found.in_float),
        [layer for layer in quantizer.layers if layer in found.in_float],
        _facts(quantizer, photos),
    )


def finished(converted: Converted, contract: Signature, head: Head | None, model: Model) -> ModelProto:
    """The whole `model.onnx`, checked: preprocessing and classifier joined on, facts in its metadata."""
    whole = joined(converted.model, contract, head)
    _name_output(whole, contract.output)
    _name_dimensions(whole, contract)
    whole.producer_name, whole.producer_version = "mvmr-zoo", __version__
    whole.graph.name = "encoder"
    facts = {
        "name": model.card.name,
        "license": model.card.license,
        "weights_sha256": model.weights_digest,
        "class_names": json.dumps(model.class_names if head is not None else []),
        "versions": json.dumps({name: version(name) for name in ("torch", "onnx", "onnxscript", "onnxruntime")}),
    }
    said = {f"mvmr_zoo.{name}": value for name, value in facts.items()}
    onnx.helper.set_model_props(whole, {SIGNATURE_KEY: contract.to_json(), **said})
    onnx.checker.check_model(whole, full_check=True)
    return whole


def _facts(quantizer: Quantizer, photos: Photos) -> dict[str, Any]:
    return {
        "format": "QDQ, uint8 activations, int8 weights per channel",
        "calibration": f"{len(photos.calibration)} {photos.source}",
        "percentile": PERCENTILE,
        "weight_bits": WEIGHT_BITS,
        "layers": len(quantizer.layers),
    }


def session_of(model: ModelProto) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """From images `(N, 3, H, W)` to the features of a converted encoder, by ONNX Runtime on the CPU."""
    session = onnx_session(model.SerializeToString())

    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        features: NDArray[np.float32] = session.run(["features"], {"images": images})[0]
        return features

    return run


def _features(model: ModelProto, images: NDArray[np.float32]) -> NDArray[np.float32]:
    run = session_of(model)
    return np.concatenate([run(part)[:count] for part, count in filled_batches(images, _AT_ONCE)])


def _name_output(model: ModelProto, output: str) -> None:
    """Rename the output `features`."""
    graph = model.graph
    for names in (each for node in graph.node for each in (node.input, node.output)):
        names[:] = [output if name == "features" else name for name in names]
    for value in graph.output:
        value.name = output if value.name == "features" else value.name


def _name_dimensions(model: ModelProto, contract: Signature) -> None:
    """Give open dimensions their names, in place of the exporter's, and the batch its size where it is fixed."""
    if contract.stage == "full":
        return
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        for dim, name in zip(dims, ("batch", "channels", "height", "width"), strict=False):
            if dim.HasField("dim_param"):
                dim.dim_param = name
        if contract.batch is not None:
            dims[0].dim_value = contract.batch
