"""Which layers stay in float: as few as keep a limit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple


class Found(NamedTuple):
    """The outcome of a search.

    Args:
        in_float: the layers that stay in float.
        score: with them.
        reached: whether the score reaches the limit.
    """

    in_float: frozenset[str]
    score: float
    reached: bool


def fewest_in_float(
    layers: Sequence[str],
    always: Collection[str],
    *,
    score: Callable[[frozenset[str]], float],
    harm: Callable[[str], float],
    limit: float,
) -> Found:
    """The fewest layers in float, worst first, with which a score reaches its limit.

    Layers are ordered by the harm each does alone. Their number is doubled until the limit is reached, then halved
    towards the fewest. At most half of all layers stay in float: with more, nothing is won.

    Args:
        layers: all layers.
        always: those that stay in float in any case.
        score: of the network with these layers in float; larger is better.
        harm: of one layer when it alone is quantized; larger is worse.
        limit: the least score.
    """
    tried: dict[int, Found] = {}
    order: list[str] = []

    def attempt(count: int) -> Found:
        if count not in tried:
            in_float = frozenset(always) | frozenset(order[:count])
            reached = score(in_float)
            tried[count] = Found(in_float, reached, reached >= limit)
        return tried[count]

    if attempt(0).reached:
        return tried[0]
    order += sorted((layer for layer in layers if layer not in always), key=harm, reverse=True)
    most = max(0, len(layers) // 2 - len(always))
    low, high = 0, 1
    while high < most and not attempt(min(high, most)).reached:
        low, high = high, high * 2
    high = min(high, most)
    if not attempt(high).reached:
        return max(tried.values(), key=lambda found: found.score)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if attempt(middle).reached else (middle, high)
    return tried[high]
