"""State dicts: what of them counts, and how two differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

_STEP_COUNTER = "num_batches_tracked"
"""Ends the names of batch norm's step counters, which no network in use reads."""

_T = TypeVar("_T")


def is_counter(name: str) -> bool:
    """Whether a tensor of this name counts batch norm's steps."""
    return name.endswith(_STEP_COUNTER)


def is_statistic(name: str) -> bool:
    """Whether a name is that of a batch norm statistic: a step counter, a running mean or a running variance."""
    return name.endswith((_STEP_COUNTER, "running_mean", "running_var"))


def without_counters(state: Mapping[str, _T]) -> dict[str, _T]:
    """All of a state dict but batch norm's step counters."""
    return {name: value for name, value in state.items() if not is_counter(name)}


def differences(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """One phrase for each tensor that is missing, unknown or of another shape, missing ones first; none if they fit.

    Step counters do not count. Tensors on the device `meta` will do.
    """
    mine = {name: tuple(tensor.shape) for name, tensor in without_counters(found).items()}
    theirs = {name: tuple(tensor.shape) for name, tensor in without_counters(wanted).items()}
    missing = [f"{name} is missing" for name in sorted(theirs.keys() - mine.keys())]
    unknown = [f"{name} is not known" for name in sorted(mine.keys() - theirs.keys())]
    other = [
        f"{name} has shape {mine[name]}, expected {theirs[name]}"
        for name in sorted(mine.keys() & theirs.keys())
        if mine[name] != theirs[name]
    ]
    return missing + other + unknown
