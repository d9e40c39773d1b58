"""Running an exported folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo.errors import CheckpointError, MvmrError, one_line
from mvmr_zoo.inference import onnx_session
from mvmr_zoo.models.exported.exported_folder import CERTIFICATE_FILE, MODEL_FILE
from mvmr_zoo.models.exported.signature import SIGNATURE_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from mvmr_zoo.models.exported.signature import Signature


class ExportedEngine:
    """ONNX Runtime on a `model.onnx`: N images, as its contract reads them, to vectors.

    Args:
        folder: with a `model.onnx`.
        contract: what it reads and answers.
        device: `cpu` or `cuda` (onnxruntime-gpu).
        threads: ONNX Runtime's intra-op threads; 0 takes one a core.
        dim: number of leading dimensions of each vector to keep; None keeps all.

    Raises:
        CheckpointError: `model.onnx` does not run, or is not what `export.json` says.
        ConfigError: CUDA where there is none.
        MissingDependencyError: onnxruntime is not installed.
    """

    name = "onnx"

    def __init__(
        self, folder: Path, contract: Signature, *, device: str = "cpu", threads: int = 0, dim: int | None = None
    ) -> None:
        self.device = device
        self._dim = dim
        self.contract = contract
        self.reads = contract.reads
        path = folder / MODEL_FILE
        try:
            self._session = onnx_session(path, device=device, threads=threads)
        except MvmrError:
            raise
        except Exception as error:  # ONNX Runtime's own tree has no common root
            raise CheckpointError(f"{path} does not run: {one_line(error)}") from None
        inputs = [each.name for each in self._session.get_inputs()]
        outputs = [each.name for each in self._session.get_outputs()]
        expected = (
            [self.contract.input_name],
            [contract.output, "logits"] if contract.head else [contract.output],
        )
        if (inputs, outputs) != expected:
            raise CheckpointError(
                f"{path} has the inputs {inputs} and outputs {outputs}; export.json says {expected[0]}, {expected[1]}."
            )
        if self._session.get_modelmeta().custom_metadata_map.get(SIGNATURE_KEY) != contract.to_json():
            raise CheckpointError(f"{path} was made by another contract than {CERTIFICATE_FILE} says. Export it again.")

    @property
    def providers(self) -> list[str]:
        """The execution providers that ONNX Runtime took."""
        return list(self._session.get_providers())

    def __call__(self, images: Any) -> NDArray[np.float32]:
        """Vectors `(N, D)` float32 of N images: `(N, 3, H, W)`, or a list of photos `(H, W, 3)` uint8."""
        return self._run(self.contract.output, images)[:, : self._dim]

    def logits(self, images: Any) -> NDArray[np.float32]:
        """Logits `(N, classes)` float32 of the classifier inside, where there is one."""
        return self._run("logits", images)

    def _run(self, output: str, images: Any) -> NDArray[np.float32]:
        found = [
            self._session.run([output], {self.contract.input_name: batch})[0][:count]
            for batch, count in self._batches(images)
        ]
        return np.concatenate(found).astype(np.float32, copy=False)

    def _batches(self, images: Any) -> Iterator[tuple[NDArray[Any], int]]:
        if self.reads == "photo":
            yield from ((photo, 1) for photo in images)
        elif self.contract.batch is None:
            yield images, len(images)
        else:
            yield from filled_batches(images, self.contract.batch)


def filled_batches(images: NDArray[Any], size: int) -> Iterator[tuple[NDArray[Any], int]]:
    """Images in batches of one size, and how many of each count: the last is filled up with zeros."""
    for start in range(0, len(images), size):
        part = images[start : start + size]
        missing = size - len(part)
        yield np.pad(part, [(0, missing), *[(0, 0)] * (part.ndim - 1)]) if missing else part, len(part)


class LogitsEngine:
    """The same session asked for logits in place of features: `(N, classes)` float32.

    Args:
        engine: of an exported folder with a classifier inside.
    """

    name = "onnx"

    def __init__(self, engine: ExportedEngine) -> None:
        self.device = engine.device
        self.reads = engine.reads
        self._engine = engine

    def __call__(self, images: Any) -> NDArray[np.float32]:
        """Logits of N images, as `ExportedEngine` takes them."""
        return self._engine.logits(images)
