"""Whether a checkpoint folder is what it says: golden answers in both engines."""

from __future__ import annotations

from dataclasses import dataclass

from mvmr_zoo.checkpoint import GOLDEN_COSINE, GRAPH_FILE, Checkpoint, golden_images, lowest_cosine
from mvmr_zoo.errors import CheckpointError, MissingDependencyError
from mvmr_zoo.runtime import TorchEngine, onnx_engine, torch_encoder


@dataclass(frozen=True)
class Verification:
    """What was found, as the lowest cosine of any golden image; 1 is equal.

    Args:
        onnx: ONNX Runtime's answers to the golden ones.
        torch: PyTorch's to the golden ones; None where PyTorch, or timm for a network of timm, is not installed.
        agreement: of the two engines; None as above.
    """

    onnx: float
    torch: float | None
    agreement: float | None


def verify(checkpoint: Checkpoint) -> Verification:
    """Check the golden answers in ONNX Runtime and, where it is installed, in PyTorch: CPU, fp32, cosine >= 0.9999.

    Args:
        checkpoint: as read, its schema and hashes already checked.

    Raises:
        CheckpointError: an engine gives other answers, or they disagree; names the file.
    """
    onnx = onnx_engine(checkpoint)
    found = checkpoint.check_golden(onnx)
    try:
        torch = TorchEngine(torch_encoder(checkpoint))
    except MissingDependencyError:
        return Verification(found, None, None)
    by_torch = checkpoint.check_golden(torch)
    images = golden_images(checkpoint.config.preprocess.crop_px)
    agreement = lowest_cosine(onnx(images), torch(images))
    if agreement < GOLDEN_COSINE:
        raise CheckpointError(
            f"{checkpoint.folder / GRAPH_FILE}: ONNX Runtime and PyTorch disagree, cosine {agreement:.5f}; "
            f"expected {GOLDEN_COSINE}. The graph is of another encoder."
        )
    return Verification(found, by_torch, agreement)
