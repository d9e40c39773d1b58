"""The options of the losses and their checks. They need no PyTorch, so that a command line is checked without it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from mvmr_zoo.errors import require

Estimator = Literal["biased", "unbiased"]
Sign = Literal["paper", "released"]


def check_weights(weights: Mapping[str, float], std_margin: float) -> None:
    """Raise ConfigError for a weight that is negative or not finite, or for a margin that is not positive.

    Args:
        weights: Weight of each term by name.
        std_margin: Standard deviation below which the hinge is positive.
    """
    for name, weight in weights.items():
        require(0 <= weight < math.inf, f"loss.{name}", weight, "a weight of at least 0")
    require(0 < std_margin < math.inf, "loss.std_margin", std_margin, "a positive number")


def check_distillation(
    weights: Mapping[str, float], std_margin: float, *, memory_bank: int, temperature: float
) -> None:
    """Raise ConfigError as `check_weights`, without a positive weight, or for another option out of range.

    Args:
        weights: Weight of each term by name.
        std_margin: Standard deviation below which the hinge is positive.
        memory_bank: Number of teacher embeddings in the memory bank.
        temperature: Softmax temperature.
    """
    check_weights(weights, std_margin)
    require(max(weights.values()) > 0, "loss", tuple(weights.values()), "at least one positive weight")
    require(memory_bank >= 1, "loss.memory_bank", memory_bank, "at least 1")
    require(0 < temperature < math.inf, "loss.temperature", temperature, "a positive number")
