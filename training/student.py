"""The student: its encoder, and the projector that maps features to embeddings during training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import mvmr_zoo
from mvmr_zoo.architectures import Encoder, differences
from mvmr_zoo.checkpoint import BASE_KIND, read_base
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.models import find_checkpoint
from mvmr_zoo.models.adapters import is_external
from training.config import StudentConfig
from training.console import say

RIDGE = 0.1
"""Share of the mean variance of a feature that is added to the diagonal of the ridge regression."""


def make_encoder(config: StudentConfig) -> Encoder:
    """The encoder, with random weights or the weights of `config.start_from`.

    Raises:
        ConfigError: `start_from` names an encoder of another architecture.
    """
    if config.start_from is None:
        return Encoder(config.architecture, zero_init_residual=config.zero_init_residual)
    if config.start_from == config.architecture and is_external(config.start_from):
        encoder = Encoder(config.architecture)
        _, tensors = read_base(config.start_from)
        encoder.load_weights({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})
        return encoder.train()
    before = mvmr_zoo.load(config.start_from).encoder
    if not isinstance(before, Encoder) or before.architecture != config.architecture:
        found = before.architecture if isinstance(before, Encoder) else type(before).__name__
        raise ConfigError(
            f"student.start_from is {config.start_from}, whose architecture is {found}; "
            f"expected {config.architecture}, the value of student.architecture."
        )
    return before.train()


def base_spec(config: StudentConfig) -> str | None:
    """The base whose weights the student starts from, directly or through a checkpoint; None for other starts."""
    if config.start_from is None or not config.architecture.startswith(BASE_KIND):
        return None
    if config.start_from == config.architecture:
        return config.start_from
    base = find_checkpoint(config.start_from).config.base
    return None if base is None else base.spec


def make_projector(config: StudentConfig, input_dim: int) -> nn.Sequential:
    """The projector, with random weights, or with those stored with `config.start_from` if they fit.

    Args:
        config: Configuration of the student.
        input_dim: Feature dimension D of the encoder.
    """
    made = projector(input_dim, config.projector)
    starts_from_checkpoint = config.start_from is not None and not is_external(config.start_from)
    before = find_checkpoint(str(config.start_from)).projector() if starts_from_checkpoint else None
    if before is not None:
        kept = {name: torch.from_numpy(tensor).float() for name, tensor in before.items()}
        if wrong := differences(kept, made.state_dict()):
            say(f"The projector stored with {config.start_from} is not used: {wrong[0]}.")
        else:
            made.load_state_dict(kept, strict=False)
    return made


def freeze_batch_norm(encoder: nn.Module) -> None:
    """Put every batch norm layer of an encoder into evaluation mode."""
    for layer in encoder.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()


def ridge_regression(features: Tensor, targets: Tensor) -> Tensor:
    """The linear map `(T, D)` without bias from features `(N, D)` to targets `(N, T)`, by ridge regression."""
    rows = features.double()
    gram = rows.T @ rows
    ridge = RIDGE * (rows - rows.mean(dim=0)).square().sum() / gram.shape[0]
    identity = torch.eye(gram.shape[0], dtype=gram.dtype, device=gram.device)
    weight: Tensor = torch.linalg.solve(gram + ridge * identity, rows.T @ targets.double())
    return weight.T.to(features)


def projector(input_dim: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Linear layers without bias, with batch norm and ReLU between them: `(N, input_dim)` to `(N, widths[-1])`."""
    layers: list[nn.Module] = []
    for i, width in enumerate(widths):
        if i:
            layers += [nn.BatchNorm1d(input_dim), nn.ReLU(inplace=True)]
        layers.append(nn.Linear(input_dim, width, bias=False))
        input_dim = width
    return nn.Sequential(*layers)
