"""The PyTorch model to export and its metadata."""

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
    """A PyTorch model to export.

    Args:
        spec: Spec that the model was loaded from.
        model: Model with a PyTorch engine.
        checkpoint: Checkpoint folder; None for an external encoder.
    """

    spec: str
    model: Model
    checkpoint: Path | None

    @property
    def network(self) -> nn.Module:
        """Module from images `(N, 3, H, W)` to the model's output `(N, D)`, in evaluation mode on the CPU."""
        return self.model.network

    @property
    def head(self) -> Head:
        """Classifier of the model. Raises ConfigError if the model has none."""
        if self.model.head is None:
            raise ConfigError(
                f"{self.spec} has no classifier for --head. Train one with `python -m training.finetune`."
            )
        return self.model.head

    def write_config(self, folder: Path) -> None:
        """Write `config.json` to a folder: a byte copy of the checkpoint's, or a new one for an external encoder."""
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
    """Load a model in PyTorch and check that all weights are finite. The arguments are those of `mvmr_zoo.load`.

    Raises:
        UnknownModelError: No model matches the spec.
        CheckpointError: The checkpoint folder is damaged, or a weight is not finite.
        ConfigError: The model is an ONNX export or lacks the output, or CUDA is not available.
    """
    model = mvmr_zoo.load(spec, output=output, dim=dim, runtime="torch", device=device)
    for name, tensor in model.encoder.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{spec}: {name} contains NaN or infinite values. Nothing was exported.")
    return Source(spec, model, None if is_external(spec) else find_checkpoint(spec).folder)


def check_size(model: Model, preprocess: Preprocess) -> None:
    """Raise ConfigError if the network cannot process images of the preprocessing's crop size."""
    px = preprocess.crop_px
    try:
        with torch.inference_mode():
            model.encoder(torch.zeros(2, 3, px, px))
    except Exception as error:  # each network raises its own type
        reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise ConfigError(f"{model.card.name} cannot process images of {px} px: {reason}") from None
