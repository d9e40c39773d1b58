"""Verify that ONNX Runtime and PyTorch reproduce the golden outputs of a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mvmr_zoo.checkpoint import GOLDEN_COSINE, GRAPH_FILE, Checkpoint, golden_images, lowest_cosine
from mvmr_zoo.errors import CheckpointError, MissingDependencyError
from mvmr_zoo.inference import TorchEngine, onnx_engine, torch_encoder

if TYPE_CHECKING:
    from mvmr_zoo.checkpoint import Output
    from mvmr_zoo.inference import Engine


@dataclass(frozen=True)
class Verification:
    """The lowest cosine of each comparison over all golden images and outputs. 1 means equal.

    Args:
        onnx: ONNX Runtime compared with the golden outputs.
        torch: PyTorch compared with the golden outputs. None if PyTorch is not installed, or if the network needs timm
            and timm is not installed.
        agreement: ONNX Runtime compared with PyTorch. None if `torch` is None.
    """

    onnx: float
    torch: float | None
    agreement: float | None


def verify_checkpoint(checkpoint: Checkpoint) -> Verification:
    """Compare the outputs of a checkpoint with its golden outputs, in ONNX Runtime and in PyTorch if it is installed.

    The engines run on the CPU in fp32. Each cosine must be at least 0.9999.

    Args:
        checkpoint: Checkpoint as `read_checkpoint` returns it, with its schema and hashes already checked.

    Raises:
        CheckpointError: An engine differs from the golden outputs, or the engines differ from each other. The message
            names the file.
    """
    onnx_features, alignment = onnx_engine(checkpoint), checkpoint.alignment
    onnx: dict[Output, Engine] = {"features": onnx_features}
    if alignment is not None:
        onnx["aligned"] = onnx_features.aligned(len(alignment.matrix))
    onnx_cosine = min(checkpoint.check_golden(engine, output) for output, engine in onnx.items())
    try:
        torch_features = TorchEngine(torch_encoder(checkpoint))
    except MissingDependencyError:
        return Verification(onnx_cosine, None, None)
    torch: dict[Output, Engine] = {"features": torch_features}
    if alignment is not None:
        torch["aligned"] = torch_features.aligned(alignment.matrix)
    torch_cosine = min(checkpoint.check_golden(engine, output) for output, engine in torch.items())
    images = golden_images(checkpoint.config.preprocess.crop_px)
    agreement = min(lowest_cosine(onnx[output](images), torch[output](images)) for output in onnx)
    if agreement < GOLDEN_COSINE:
        raise CheckpointError(
            f"{checkpoint.folder / GRAPH_FILE}: the outputs of ONNX Runtime and PyTorch have a cosine similarity of "
            f"{agreement:.5f}; expected at least {GOLDEN_COSINE}. The graph belongs to another encoder."
        )
    return Verification(onnx_cosine, torch_cosine, agreement)
