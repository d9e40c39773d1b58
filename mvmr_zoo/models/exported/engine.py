"""Run an exported folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo.errors import CheckpointError
from mvmr_zoo.inference import onnx_errors, onnx_session, run_session
from mvmr_zoo.models.exported.exported_folder import MODEL_FILE, PARITY_REPORT_FILE
from mvmr_zoo.models.exported.signature import SIGNATURE_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from mvmr_zoo.models.exported.signature import Signature


class ExportedEngine:
    """Run a `model.onnx` with ONNX Runtime. It maps images, prepared as the signature requires, to vectors.

    Args:
        folder: Folder with the `model.onnx`.
        signature: Signature of `model.onnx`.
        device: `cpu` or `cuda`. `cuda` needs onnxruntime-gpu.
        threads: Number of intra-op threads of ONNX Runtime. 0 uses one per core.
        dim: Number of leading dimensions of each vector to keep. None keeps all.

    Raises:
        CheckpointError: `model.onnx` cannot be loaded, or differs from the signature.
        ConfigError: CUDA is not available.
        MissingDependencyError: onnxruntime is not installed.
    """

    name = "onnx"

    def __init__(
        self, folder: Path, signature: Signature, *, device: str = "cpu", threads: int = 0, dim: int | None = None
    ) -> None:
        self.device = device
        self._dim = dim
        self.signature = signature
        self.reads = signature.reads
        path = folder / MODEL_FILE
        with onnx_errors(f"{path} cannot be loaded"):
            self._session = onnx_session(path, device=device, threads=threads)
        inputs = [tensor.name for tensor in self._session.get_inputs()]
        outputs = [tensor.name for tensor in self._session.get_outputs()]
        expected = (
            [self.signature.input_name],
            [signature.output, "logits"] if signature.head else [signature.output],
        )
        if (inputs, outputs) != expected:
            raise CheckpointError(
                f"{path} has the inputs {inputs} and outputs {outputs}; expected {expected[0]} and {expected[1]}, as "
                "in export.json."
            )
        if self._session.get_modelmeta().custom_metadata_map.get(SIGNATURE_KEY) != signature.to_json():
            raise CheckpointError(
                f"{path} does not match the signature in {PARITY_REPORT_FILE}. Export the model again."
            )

    @property
    def providers(self) -> list[str]:
        """The execution providers that ONNX Runtime uses."""
        return list(self._session.get_providers())

    def __call__(self, images: Any) -> NDArray[np.float32]:
        """Compute vectors `(N, D)` float32 of images, an array `(N, 3, H, W)` or a list of photos `(H, W, 3)` uint8."""
        return self._run(self.signature.output, images)[:, : self._dim]

    def logits(self, images: Any) -> NDArray[np.float32]:
        """Compute logits `(N, classes)` float32. The model must contain a classifier."""
        return self._run("logits", images)

    def _run(self, output: str, images: Any) -> NDArray[np.float32]:
        batches = [
            run_session(self._session, [output], {self.signature.input_name: batch})[0][:count]
            for batch, count in self._batches(images)
        ]
        return np.concatenate(batches).astype(np.float32, copy=False)

    def _batches(self, images: Any) -> Iterator[tuple[NDArray[Any], int]]:
        if self.reads == "photo":
            yield from ((photo, 1) for photo in images)
        elif self.signature.batch is None:
            yield images, len(images)
        else:
            yield from filled_batches(images, self.signature.batch)


def filled_batches(images: NDArray[Any], size: int) -> Iterator[tuple[NDArray[Any], int]]:
    """Yield batches of exactly `size` images, each with the number of real images in it.

    The last batch is padded with images of zeros.
    """
    for start in range(0, len(images), size):
        part = images[start : start + size]
        missing = size - len(part)
        yield np.pad(part, [(0, missing), *[(0, 0)] * (part.ndim - 1)]) if missing else part, len(part)


class LogitsEngine:
    """Engine that computes logits `(N, classes)` float32 instead of features, in the same session.

    Args:
        engine: Engine of an exported folder with a classifier.
    """

    name = "onnx"

    def __init__(self, engine: ExportedEngine) -> None:
        self.device = engine.device
        self.reads = engine.reads
        self._engine = engine

    def __call__(self, images: Any) -> NDArray[np.float32]:
        """Compute logits of images, in the form that `ExportedEngine` accepts."""
        return self._engine.logits(images)
