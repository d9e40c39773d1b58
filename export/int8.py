"""int8: static quantization by ONNX Runtime, calibrated on photos.

Activations are uint8 with one scale per tensor. Weights are int8 with one scale per output channel. Ranges are clipped
at the 99.999th percentile of the calibration values. Weights use 7 bits because the instruction that adds pairs of
byte products saturates with 8 bits on processors without VNNI, and an exported file may run on any processor.
"""

from __future__ import annotations

import contextlib
import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from onnx import ModelProto

from export.photos import CALIBRATION_STEP
from mvmr_zoo.inference import onnxruntime_library

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import numpy as np
    from numpy.typing import NDArray

PERCENTILE = 99.999
WEIGHT_BITS = 7

WEIGHTED = ("Conv", "Gemm", "MatMul")
SUM = "Add"


@dataclass(frozen=True)
class Quantizer:
    """Quantizes one encoder with ranges that are calibrated once.

    Args:
        folder: Folder for temporary files.
        layers: Names of the layers with weights and of the additions that join branches, in graph order.
        ends: Names of the first and the last layer with weights.
    """

    folder: Path
    layers: tuple[str, ...]
    ends: frozenset[str]

    def quantized(self, in_float: Collection[str]) -> ModelProto:
        """Return the encoder in int8, except for the named layers."""
        target = self.folder / "int8.onnx"
        _quantize(self, target, reader=None, in_float=in_float)
        return onnx.load(target)


def calibrate(encoder: ModelProto, images: NDArray[np.float32], folder: Path) -> Quantizer:
    """Calibrate a quantizer on images.

    Args:
        encoder: Encoder in fp32 with an input `images` and folded batch norm.
        images: Calibration images `(N, 3, H, W)`, with N a multiple of `CALIBRATION_STEP`.
        folder: Empty folder that exists as long as the quantizer is used.
    """
    onnx.save(encoder, folder / "fp32.onnx")
    constants = {tensor.name for tensor in encoder.graph.initializer}
    weighted = [
        node.name for node in encoder.graph.node if node.op_type in WEIGHTED and constants.intersection(node.input)
    ]
    sums = {node.name for node in encoder.graph.node if node.op_type == SUM and not constants.intersection(node.input)}
    layers = tuple(node.name for node in encoder.graph.node if node.name in sums.union(weighted))
    quantizer = Quantizer(folder, layers, frozenset({weighted[0], weighted[-1]}))
    _quantize(quantizer, folder / "int8.onnx", reader=_Reader(images), in_float=())
    return quantizer


class _Reader:
    """Calibration data reader for ONNX Runtime, which calls `set_range`, then `get_next` until it returns None."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        self._images = images
        self._parts: Iterator[dict[str, Any]] = iter(())

    def __len__(self) -> int:
        return len(self._images)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._parts = iter([{"images": self._images[start_index:end_index]}])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._parts, None)


def _quantize(quantizer: Quantizer, target: Path, *, reader: _Reader | None, in_float: Collection[str]) -> None:
    onnxruntime_library()
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    silent = io.StringIO()
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # it advises preprocessing, but batch norm is already folded
    try:
        with contextlib.redirect_stdout(silent):
            quantize_static(
                quantizer.folder / "fp32.onnx",
                target,
                reader,
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=WEIGHT_BITS == 7,
                calibrate_method=CalibrationMethod.Percentile,
                nodes_to_exclude=sorted(in_float),
                extra_options={"CalibPercentile": PERCENTILE, "CalibStridedMinMax": CALIBRATION_STEP},
                calibration_cache_path=quantizer.folder / "ranges.json",
            )
    finally:
        logging.root.setLevel(level)
