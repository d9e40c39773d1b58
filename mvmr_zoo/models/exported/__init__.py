"""Folders that `mvmr-export onnx` writes, read and run with ONNX Runtime alone.

NAME/
model.onnx              the encoder, its weights inside, for any runtime
export.json             the certificate: what `model.onnx` reads and answers, and what was lost on the way
config.json             of the checkpoint it was made from, as it stands there
reference.safetensors   what PyTorch answered, so that the certificate can be repeated without it

contract   what `model.onnx` reads and answers
folder     a folder as an `Exported`, its schema and hashes checked
engine     runs one
"""

from __future__ import annotations

from mvmr_zoo.models.exported.engine import ExportedEngine, LogitsEngine, filled_batches
from mvmr_zoo.models.exported.exported_folder import (
    CERTIFICATE_FILE,
    HASHED,
    MODEL_FILE,
    REFERENCE_FILE,
    SCHEMA_VERSION,
    Exported,
    holds_export,
    is_exported,
    read_exported,
)
from mvmr_zoo.models.exported.signature import DTYPES, SIGNATURE_KEY, STAGES, Dtype, Signature, Stage

__all__ = [
    "CERTIFICATE_FILE",
    "DTYPES",
    "HASHED",
    "MODEL_FILE",
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
