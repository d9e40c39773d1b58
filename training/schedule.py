"""The learning rate as a pure function of the optimiser step."""

from __future__ import annotations

import math


def warmup_cosine(step: int, *, warmup_steps: int, total_steps: int, final: float) -> float:
    """The factor on the peak learning rate: linear from 1 / `warmup_steps` to 1, then half a cosine down to `final`.

    Args:
        step: optimiser steps taken so far, from 0.
        warmup_steps: steps of the linear rise.
        total_steps: steps of the whole run; the factor stays at `final` after them.
        final: the last factor, in [0, 1].
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))
