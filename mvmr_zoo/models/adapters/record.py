"""`ExternalEncoder`: an encoder from another project, ready to run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mvmr_zoo.architectures import without_counters
from mvmr_zoo.checkpoint import ModelCard
from mvmr_zoo.images import Preprocess

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class ExternalEncoder:
    """An encoder from another project, as a PyTorch module or an ONNX graph.

    Args:
        card: Name, dimension, origin, and the preprocessing of its authors.
        module: Maps `(N, 3, H, W)` to `(N, D)`, in evaluation mode, on the CPU. None for a graph.
        graph: A serialized ONNX graph with input `images` and output `features`. None for a module.
        tensors: The initializers that the graph reads from outside, by name. Empty if it contains all of them.
        build: Builds the PyTorch module of a graph with `tensors`. None if there is only a graph.
    """

    card: ModelCard
    module: nn.Module | None = None
    graph: bytes | None = None
    tensors: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    build: Callable[[], nn.Module] | None = None

    @property
    def preprocess(self) -> Preprocess:
        """The preprocessing of its authors."""
        return self.card.preprocess

    def count_macs(self) -> int:
        """Multiply-accumulates of one image in the authors' preprocessing. 0 if they cannot be counted."""
        px = self.preprocess.crop_px
        if self.module is not None:
            from mvmr_zoo.architectures import count_macs

            return count_macs(self.module, px)
        if self.graph is not None:
            from mvmr_zoo.models.adapters import onnx_file

            return onnx_file.count_macs(self.graph, px)
        return 0

    @property
    def digest(self) -> str:
        """SHA-256 of the architecture and the weights. The architecture counts because two networks may share weights.

        For a graph that contains its weights, this is the SHA-256 of the graph.
        """
        tensors = self.tensors
        if self.module is not None:
            tensors = {name: each.numpy() for name, each in without_counters(self.module.state_dict()).items()}
        elif self.graph is not None and not tensors:
            return hashlib.sha256(self.graph).hexdigest()
        digest = hashlib.sha256(self.card.architecture.encode())
        for name, tensor in sorted(tensors.items()):
            digest.update(name.encode() + tensor.tobytes())
        return digest.hexdigest()
