"""Whether a checkpoint folder is what it says: golden answers in both engines."""

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
    """The lowest cosine over all golden images and outputs in each comparison; 1 means equal.

    Args:
        onnx: ONNX Runtime's answers to the golden ones.
        torch: PyTorch and the golden answers. None if PyTorch is not installed, or timm for a network of timm.
        agreement: the two engines. None in the same cases.
    """

    onnx: float
    torch: float | None
    agreement: float | None


def verify_checkpoint(checkpoint: Checkpoint) -> Verification:
    """Check the golden answers in ONNX Runtime and, where it is installed, in PyTorch: CPU, fp32, cosine >= 0.9999.

    Args:
        checkpoint: as read, its schema and hashes already checked.

    Raises:
        CheckpointError: an engine gives other answers, or they disagree; names the file.
    """
    onnx_features, alignment = onnx_engine(checkpoint), checkpoint.alignment()
    onnx: dict[Output, Engine] = {"features": onnx_features}
    if alignment is not None:
        onnx["aligned"] = onnx_features.aligned(len(alignment.matrix))
    found = min(checkpoint.check_golden(engine, output) for output, engine in onnx.items())
    try:
        torch_features = TorchEngine(torch_encoder(checkpoint))
    except MissingDependencyError:
        return Verification(found, None, None)
    torch: dict[Output, Engine] = {"features": torch_features}
    if alignment is not None:
        torch["aligned"] = torch_features.aligned(alignment.matrix)
    by_torch = min(checkpoint.check_golden(engine, output) for output, engine in torch.items())
    images = golden_images(checkpoint.config.preprocess.crop_px)
    agreement = min(lowest_cosine(onnx[output](images), torch[output](images)) for output in onnx)
    if agreement < GOLDEN_COSINE:
        raise CheckpointError(
            f"{checkpoint.folder / GRAPH_FILE}: ONNX Runtime and PyTorch disagree, cosine {agreement:.5f}; "
            f"expected {GOLDEN_COSINE}. The graph is of another encoder."
        )
    return Verification(found, by_torch, agreement)
