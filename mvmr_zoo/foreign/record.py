"""`ForeignEncoder`: an encoder that is not ours, ready to run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mvmr_zoo.card import ModelCard
from mvmr_zoo.preprocess import Preprocess
from mvmr_zoo.state_dicts import without_counters

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class ForeignEncoder:
    """An encoder that is not ours: a PyTorch module, or an ONNX graph with its weights inside.

    Args:
        card: its name, dimension, origin, and the preprocessing its authors feed it.
        module: `(N, 3, H, W)` to `(N, D)`, in evaluation mode, on the CPU; None for an ONNX graph.
        graph: a serialised ONNX graph with input `images` and output `features`; None for a module.
    """

    card: ModelCard
    module: nn.Module | None = None
    graph: bytes | None = None

    @property
    def preprocess(self) -> Preprocess:
        """What its authors feed it."""
        return self.card.preprocess

    def weights(self) -> dict[str, Tensor]:
        """What a module's graph reads, by name: all of the state dict but batch norm's step counters."""
        assert self.module is not None
        return without_counters(self.module.state_dict())

    @property
    def digest(self) -> str:
        """SHA-256 of its architecture and weights, by name, or of its graph: two networks may share weights."""
        if self.graph is not None:
            return hashlib.sha256(self.graph).hexdigest()
        digest = hashlib.sha256(self.card.architecture.encode())
        for name, tensor in sorted(self.weights().items()):
            digest.update(name.encode() + tensor.numpy().tobytes())
        return digest.hexdigest()
