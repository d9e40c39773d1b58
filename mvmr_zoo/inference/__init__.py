"""Images to vectors: `Model`, the pipeline that overlaps decoding and inference, and the two engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mvmr_zoo._io import lazy_import
from mvmr_zoo.inference.engines import (
    Engine,
    OnnxEngine,
    TorchEngine,
    onnx_engine,
    onnx_errors,
    onnx_session,
    onnxruntime_library,
    run_session,
    torch_encoder,
    traced_engine,
)
from mvmr_zoo.inference.model import Model
from mvmr_zoo.inference.pipeline import (
    DRAFT_MARGIN,
    DecodedImage,
    EmbeddedBatch,
    Embeddings,
    Failure,
    ImageInput,
    embed,
    embed_stream,
    unit,
)

if TYPE_CHECKING:
    from mvmr_zoo.inference.graph import clear_notes, traced, weightless_graph, with_alignment, with_prefix

__all__ = [
    "DRAFT_MARGIN",
    "DecodedImage",
    "EmbeddedBatch",
    "Embeddings",
    "Engine",
    "Failure",
    "ImageInput",
    "Model",
    "OnnxEngine",
    "TorchEngine",
    "clear_notes",
    "embed",
    "embed_stream",
    "onnx_engine",
    "onnx_errors",
    "onnx_session",
    "onnxruntime_library",
    "run_session",
    "torch_encoder",
    "traced",
    "traced_engine",
    "unit",
    "weightless_graph",
    "with_alignment",
    "with_prefix",
]

_LAZY = {
    "clear_notes": "mvmr_zoo.inference.graph",
    "traced": "mvmr_zoo.inference.graph",
    "weightless_graph": "mvmr_zoo.inference.graph",
    "with_alignment": "mvmr_zoo.inference.graph",
    "with_prefix": "mvmr_zoo.inference.graph",
}
"""Names whose modules import PyTorch or another large library. They are imported on first use."""

__getattr__ = lazy_import(__name__, _LAZY)
