"""Search for the smallest set of layers to keep in float so that a limit is met."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple


class LayerChoice(NamedTuple):
    """A set of layers to keep in float, and its score.

    Args:
        in_float: Names of the layers that remain in float.
        score: Score of the network with these layers in float.
        reached: Whether the score reaches the limit.
    """

    in_float: frozenset[str]
    score: float
    reached: bool


def fewest_in_float(
    layers: Sequence[str],
    always: Collection[str],
    *,
    score: Callable[[frozenset[str]], float],
    sensitivity: Callable[[str], float],
    limit: float,
) -> LayerChoice:
    """Find the smallest number of layers in float, most sensitive first, with which the score reaches a limit.

    Layers are sorted by their sensitivity. Their number is doubled until the limit is reached, then reduced by
    bisection. At most half of all layers remain in float, because int8 brings no gain with more.

    Args:
        layers: Names of all layers.
        always: Names of the layers that always remain in float.
        score: Score of the network with the given layers in float. Larger is better.
        sensitivity: Error of the network with only the given layer quantized. Larger is worse.
        limit: Minimum score.

    Returns:
        The smallest choice that reaches the limit, or the one with the best score if none does.
    """
    tried: dict[int, LayerChoice] = {}
    order: list[str] = []

    def attempt(count: int) -> LayerChoice:
        if count not in tried:
            in_float = frozenset(always) | frozenset(order[:count])
            value = score(in_float)
            tried[count] = LayerChoice(in_float, value, value >= limit)
        return tried[count]

    if attempt(0).reached:
        return tried[0]
    order += sorted((layer for layer in layers if layer not in always), key=sensitivity, reverse=True)
    max_count = max(0, len(layers) // 2 - len(always))
    low, high = 0, 1
    while high < max_count and not attempt(min(high, max_count)).reached:
        low, high = high, high * 2
    high = min(high, max_count)
    if not attempt(high).reached:
        return max(tried.values(), key=lambda choice: choice.score)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if attempt(middle).reached else (middle, high)
    return tried[high]
