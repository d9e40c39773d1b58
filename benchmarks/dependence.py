"""All dependence terms of a pretraining step, against the formula applied to each pair by itself.

    python benchmarks/dependence.py [--px 32] [--rounds 15]

Views and the paper's five representations of N = 256 random images, D = 8192, forward and backward,
with the two ways alternating in one process. Each way then runs alone in a new process for its peak memory.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from training.config.objective import AUGMENTED_PIXELS, PAPER_REPRESENTATIONS
from training.losses import MVMRLoss
from training.targets.representations import build_representation

N, D = 256, 8192


class Batch(NamedTuple):
    """Embeddings `(N, D)` with gradients, and representations of random images."""

    z: Tensor
    z0: Tensor
    representations: dict[str, Tensor]


def batch(px: int) -> Batch:
    """A batch of images of `px` pixels a side."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(N, 3, px, px, generator=generator)
    representations = {
        term.kind: images.flatten(1).roll(1, 0)
        if term.kind == AUGMENTED_PIXELS
        else build_representation(term.kind, term.options)(images)
        for term in PAPER_REPRESENTATIONS
    }
    z, z0 = (torch.randn(N, D, generator=generator).requires_grad_() for _ in range(2))
    return Batch(z, z0, representations)


def together(made: Batch) -> Tensor:
    """Our loss: each distance matrix once."""
    return MVMRLoss(invariance=0, variance=0, views=1)(made.z, made.z0, made.representations).total


def by_pairs(made: Batch) -> Tensor:
    """The formula, pair by pair."""
    return torch.stack([1 - plain_dcor(made.z, rows) for rows in (made.z0, *made.representations.values())]).sum()


def plain_dcor(x: Tensor, y: Tensor) -> Tensor:
    """Distance correlation by its formula: distances, double centering, the square root."""
    a, b = (torch.cdist(rows, rows, compute_mode="use_mm_for_euclid_dist") for rows in (x, y))
    a, b = (d - d.mean(0, keepdim=True) - d.mean(1, keepdim=True) + d.mean() for d in (a, b))
    return ((a * b).mean() / ((a * a).mean() * (b * b).mean()).sqrt()).sqrt()


WAYS: dict[str, Callable[[Batch], Tensor]] = {"together": together, "by pairs": by_pairs}


def seconds(way: Callable[[Batch], Tensor], made: Batch) -> float:
    """The time of one forward and backward pass."""
    made.z.grad = made.z0.grad = None
    began = time.perf_counter()
    way(made).backward()
    return time.perf_counter() - began


def peak_growth_mb(way: str, px: int) -> float:
    """How far one forward and backward raise the memory of a fresh process at their peak; Linux only."""
    command = [sys.executable, __file__, "--px", str(px), "--memory", way]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def status_kb(name: str) -> int:
    """A figure of this process, as Linux states it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--px", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--memory", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    made = batch(options.px)
    if options.memory:
        Path("/proc/self/clear_refs").write_text("5")  # the peak so far was that of the representations
        before = status_kb("VmRSS")
        seconds(WAYS[options.memory], made)
        print((status_kb("VmHWM") - before) / 1024)
        return
    values = {name: way(made).item() for name, way in WAYS.items()}
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(options.rounds):
        for name, way in WAYS.items():
            times[name].append(seconds(way, made))
    medians = {name: statistics.median(found) for name, found in times.items()}
    print(f"{options.px} px, N = {N}, D = {D}\n\n| way | loss | ms | peak memory, MB |\n| --- | --- | --- | --- |")
    for name, median in medians.items():
        print(f"| {name} | {values[name]:.5f} | {1000 * median:.0f} | {peak_growth_mb(name, options.px):.0f} |")
    print(f"\n{medians['by pairs'] / medians['together']:.2f} times as fast")


if __name__ == "__main__":
    main()
