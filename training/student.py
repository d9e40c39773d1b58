"""What is trained: the encoder, and the projector that is thrown away afterwards."""

from __future__ import annotations

from torch import nn

import mvmr_zoo
from mvmr_zoo.encoder import Encoder
from mvmr_zoo.errors import ConfigError
from training.config import StudentConfig


def make_encoder(config: StudentConfig) -> Encoder:
    """The encoder: from random weights, or from those of `config.start_from`.

    Raises:
        ConfigError: `start_from` names an encoder of another architecture.
    """
    if config.start_from is None:
        return Encoder(config.architecture, zero_init_residual=config.zero_init_residual)
    before = mvmr_zoo.load(config.start_from).encoder
    if not isinstance(before, Encoder) or before.architecture != config.architecture:
        found = before.architecture if isinstance(before, Encoder) else type(before).__name__
        raise ConfigError(
            f"student.start_from is {config.start_from}, whose architecture is {found}; "
            f"expected {config.architecture}, as student.architecture says."
        )
    return before.train()


def projector(input_dim: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Linear layers without bias, batch norm and ReLU between: `(N, input_dim)` to `(N, widths[-1])`."""
    layers: list[nn.Module] = []
    for i, width in enumerate(widths):
        if i:
            layers += [nn.BatchNorm1d(input_dim), nn.ReLU(inplace=True)]
        layers.append(nn.Linear(input_dim, width, bias=False))
        input_dim = width
    return nn.Sequential(*layers)
