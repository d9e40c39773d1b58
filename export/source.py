"""What is exported: a model in PyTorch, and the facts that travel with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

import mvmr_zoo
from mvmr_zoo.checkpoint import CONFIG_FILE, SCHEMA_VERSION, CheckpointConfig, Head, write_config
from mvmr_zoo.errors import CheckpointError, ConfigError
from mvmr_zoo.models import find_checkpoint
from mvmr_zoo.models.adapters import is_external

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Literal

    from mvmr_zoo import Model
    from mvmr_zoo.checkpoint import Output
    from mvmr_zoo.images import Preprocess


@dataclass(frozen=True)
class Source:
    """A model in PyTorch.

    Args:
        spec: what it was loaded by.
        model: its engine is PyTorch's.
        checkpoint: its folder; None for somebody else's encoder.
    """

    spec: str
    model: Model
    checkpoint: Path | None

    @property
    def network(self) -> nn.Module:
        """Images `(N, 3, H, W)` to the model's output `(N, D)`, in evaluation mode, on the CPU."""
        return self.model.network

    @property
    def head(self) -> Head:
        """The classifier. Raises ConfigError where there is none."""
        if self.model.head is None:
            raise ConfigError(f"{self.spec} has no classifier for --head. `python -m training.finetune` trains one.")
        return self.model.head

    def write_config(self, folder: Path) -> None:
        """Put the checkpoint's `config.json` into a folder, byte for byte; for a foreign encoder, one like it."""
        if self.checkpoint is not None:
            (folder / CONFIG_FILE).write_bytes((self.checkpoint / CONFIG_FILE).read_bytes())
            return
        card = self.model.card
        write_config(
            folder / CONFIG_FILE,
            CheckpointConfig(
                schema_version=SCHEMA_VERSION,
                name=card.name,
                architecture=card.architecture,
                embedding_dim=card.embedding_dim,
                preprocess=card.preprocess,
                license=card.license,
                source=card.origin,
            ),
        )


def read_source(
    spec: str, device: Literal["cpu", "cuda"] = "cpu", *, output: Output | None = None, dim: int | None = None
) -> Source:
    """The model of a spec, in PyTorch, every weight finite.

    Args:
        spec: as in `load`.
        device: as in `load`.
        output: as in `load`.
        dim: as in `load`.

    Raises:
        UnknownModelError: nothing answers to the spec.
        CheckpointError: its folder is damaged, or a weight is not a number.
        ConfigError: it is an ONNX file already, it lacks the output, or CUDA is missing.
    """
    model = mvmr_zoo.load(spec, output=output, dim=dim, runtime="torch", device=device)
    for name, tensor in model.encoder.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{spec}: {name} holds values that are not finite. Nothing was exported.")
    return Source(spec, model, None if is_external(spec) else find_checkpoint(spec).folder)


def check_size(model: Model, preprocess: Preprocess) -> None:
    """Raise ConfigError where the network cannot take images of a size."""
    px = preprocess.crop_px
    try:
        with torch.inference_mode():
            model.encoder(torch.zeros(2, 3, px, px))
    except Exception as error:  # each network has its own
        reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise ConfigError(f"{model.card.name} cannot take images of {px} px: {reason}") from None
