"""The checks of `benchmarks/gpu.py`, most important first.

bench       common parts of the checks: device, sizes, photos, checkpoint folders, timing
training    training steps by precision, distillation, resume, DDP, torch.compile
inference   embedding, scattering, representations, distance correlation, ONNX Runtime, FAISS, export
report      the command: runs the checks, writes the report, prints the table
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from benchmarks.gpu_checks import inference, training
from benchmarks.gpu_checks.bench import Bench, DifferenceError, Figures, SkippedError

CHECKS: dict[str, Callable[[Bench], Figures]] = {
    "train-bf16": functools.partial(training.pretrain_steps, precision="bf16"),
    "train-fp16": functools.partial(training.pretrain_steps, precision="fp16"),
    "train-fp32": functools.partial(training.pretrain_steps, precision="fp32"),
    "distill": training.distillation,
    "resume": training.resume,
    "embed-bundled": inference.embed_bundled,
    "embed-resnet50": inference.embed_resnet50,
    "scattering": inference.scattering,
    "distance-correlation": inference.distance_correlations,
    "representations": inference.representations,
    "ddp": training.ddp,
    "onnxruntime": inference.onnxruntime,
    "faiss": inference.faiss_search,
    "library": inference.library_search,
    "export": inference.export,
    "compile": training.compiled,
}
"""Each check returns its figures, and raises SkippedError or DifferenceError."""

__all__ = ["CHECKS", "Bench", "DifferenceError", "Figures", "SkippedError"]
