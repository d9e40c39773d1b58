"""Read and run folders that `mvmr-export onnx` writes. Only ONNX Runtime is needed.

NAME/
model.onnx              the encoder with its weights, for any runtime
export.json             the parity report: the signature of `model.onnx`, and its difference from PyTorch
config.json             a copy of the `config.json` of the checkpoint
reference.safetensors   outputs of PyTorch, so that the parity report can be checked without PyTorch

signature        the inputs and outputs of `model.onnx`
exported_folder  reads a folder as an `Exported`, with its schema and hashes checked
engine           runs `model.onnx`
"""

from __future__ import annotations

from mvmr_zoo.models.exported.engine import ExportedEngine, LogitsEngine, filled_batches
from mvmr_zoo.models.exported.exported_folder import (
    HASHED,
    MODEL_FILE,
    PARITY_REPORT_FILE,
    REFERENCE_FILE,
    SCHEMA_VERSION,
    Exported,
    holds_export,
    is_exported,
    read_exported,
)
from mvmr_zoo.models.exported.signature import DTYPES, SIGNATURE_KEY, STAGES, Dtype, Signature, Stage

__all__ = [
    "DTYPES",
    "HASHED",
    "MODEL_FILE",
    "PARITY_REPORT_FILE",
    "REFERENCE_FILE",
    "SCHEMA_VERSION",
    "SIGNATURE_KEY",
    "STAGES",
    "Dtype",
    "Exported",
    "ExportedEngine",
    "LogitsEngine",
    "Signature",
    "Stage",
    "filled_batches",
    "holds_export",
    "is_exported",
    "read_exported",
]
