"""int8: static quantization by ONNX Runtime, calibrated on photos.

Activations are uint8, one scale a tensor; weights are int8, one scale an output channel. A range is cut at the
99.999th percentile of what calibration saw. Weights take 7 bits: on processors without VNNI, the instruction that adds
pairs of byte products saturates at 8, and a file goes where its maker does not see it.
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
    """Quantizes one encoder, as often as asked; the ranges are found once.

    Args:
        folder: for its files; they can be thrown away afterwards.
        layers: names of the layers with weights and of the sums that join branches, in the order of the graph.
        ends: the first and the last layer with weights.
    """

    folder: Path
    layers: tuple[str, ...]
    ends: frozenset[str]

    def quantized(self, in_float: Collection[str]) -> ModelProto:
        """The encoder in int8, but for the named layers."""
        target = self.folder / "int8.onnx"
        _quantize(self, target, reader=None, in_float=in_float)
        return onnx.load(target)


def calibrated(encoder: ModelProto, images: NDArray[np.float32], folder: Path) -> Quantizer:
    """A quantizer whose ranges are those of some photos.

    Args:
        encoder: in fp32, input `images`, batch norm folded.
        images: `(N, 3, H, W)` calibration images, a multiple of `CALIBRATION_STEP`.
        folder: an empty one that lasts as long as the quantizer.
    """
    onnx.save(encoder, folder / "fp32.onnx")
    constants = {tensor.name for tensor in encoder.graph.initializer}
    weighted = [
        node.name for node in encoder.graph.node if node.op_type in WEIGHTED and constants.intersection(node.input)
    ]
    sums = {node.name for node in encoder.graph.node if node.op_type == SUM and not constants.intersection(node.input)}
    layers = tuple(node.name for node in encoder.graph.node if node.name in sums.union(weighted))
    found = Quantizer(folder, layers, frozenset({weighted[0], weighted[-1]}))
    _quantize(found, folder / "int8.onnx", reader=_Reader(images), in_float=())
    return found


class _Reader:
    """Calibration images in ONNX Runtime's protocol: `set_range`, then `get_next` until None."""

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
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    silent = io.StringIO()
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # its advice to preprocess was followed: batch norm is folded
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
